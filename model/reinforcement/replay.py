"""Pretraining text behind the replies of a step, which is learnt as in pretraining, so that less of it is forgotten.

Notable: the text of a row depends on the seed, the step and the row alone, so a resumed run reads the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from model.data.packed_sequences import IGNORED, PADDING_SEGMENT, Batch, IntArray, row_width
from model.data.token_cache import TokenCache

_Number = TypeVar("_Number", np.int64, np.float32)


class ReplayedText:
    """Pieces of the documents that pretraining was on."""

    def __init__(self, cache: TokenCache, seed: int) -> None:
        self._cache, self._seed = cache, seed
        self._documents = np.flatnonzero(~cache.validation)
        self._ends = np.cumsum(np.diff(cache.offsets)[self._documents])

    def piece(self, step: int, row: int, tokens: int) -> IntArray:
        """Return the piece of a row: `tokens` + 1 tokens of a document, or all of a shorter one."""
        place = int(np.random.default_rng([self._seed, 0x7E, step, row]).integers(self._ends[-1]))
        number = int(np.searchsorted(self._ends, place, side="right"))
        text = self._cache.document(int(self._documents[number])).astype(np.int64)
        start = min(place - int(self._ends[number]) + len(text), max(0, len(text) - tokens - 1))
        return text[start : start + tokens + 1]


def with_text_behind(batch: Batch, lengths: Sequence[int], pieces: Sequence[IntArray], context: int) -> Batch:
    """Return a batch with a piece of text behind what each row holds; both together fit the context.

    `lengths`: filled positions of the rows. The last column (R, T) is 1 where a target is of such text.
    """
    ends = [length + len(piece) - 1 for piece, length in zip(pieces, lengths, strict=True)]
    shape = len(batch.inputs), max(batch.inputs.shape[1], row_width(max(ends, default=1), context))
    inputs, targets = _widened(batch.inputs, shape, 0), _widened(batch.targets, shape, IGNORED)
    segments, is_text = np.full(shape, PADDING_SEGMENT, np.int64), np.zeros(shape, np.float32)
    for row, (piece, length, end) in enumerate(zip(pieces, lengths, ends, strict=True)):
        inputs[row, length:end], targets[row, length:end] = piece[:-1], piece[1:]
        segments[row, :length], segments[row, length:end], is_text[row, length:end] = 0, 1, 1
    columns = [column if column.ndim == 1 else _widened(column, shape, 0) for column in batch.columns]
    return replace(batch, inputs=inputs, targets=targets, segments=segments, columns=(*columns, is_text))


def _widened(rows: npt.NDArray[_Number], shape: tuple[int, int], filling: int) -> npt.NDArray[_Number]:
    wide = np.full(shape, filling, rows.dtype)
    wide[:, : rows.shape[1]] = rows
    return wide
