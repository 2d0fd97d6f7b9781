"""Batches of packed sequences with part of each segment hidden, as a pure function of the step.

Notable:
- What is hidden is drawn again each time a sequence comes up (RoBERTa, arXiv:1907.11692, section 4.1), from a generator
  seeded by the row's place in the whole run; so neither a resume nor the number of processes changes it.
- Every batch has segment ids, also for padding, since an encoder sees both sides.
- With a decoder, a row is the encoder's input, padded, and after it the decoder's. The targets are as wide as the
  decoder's input, which tells a model where to split.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model.data.corruption import Corrupted, Corruption
from model.data.packed_sequences import (
    IGNORED,
    PADDING_SEGMENT,
    Batch,
    IntArray,
    PackedSequences,
    Packing,
    row_width,
    share,
)

_STREAM = 1
"""Separates these draws from those of the order, which have the same seed."""


class CorruptedSequences(PackedSequences):
    """The stream of sequences, each cut to the context, with part of each segment hidden."""

    def __init__(
        self,
        tokens: npt.NDArray[Any],
        packing: Packing,
        context: int,
        global_batch_size: int,
        seed: int,
        corruption: Corruption,
    ) -> None:
        """Take what `PackedSequences` takes; `seed` also seeds what `corruption` hides."""
        self._corruption = corruption
        super().__init__(tokens, _cut(packing, context), context, global_batch_size, seed)

    def batch(self, step: int, rank: int, world_size: int) -> Batch:
        """Return a batch, always with `segments`; `targets` belong to the last columns of `inputs`."""
        chosen = self.sequences_of_step(step)
        rows = range(len(chosen))[share(len(chosen), rank, world_size)]
        corrupted = [
            [self._corruption.corrupt(segment, draws) for segment in self.segments_of(chosen[row])]
            for row in rows
            for draws in [np.random.default_rng([self._seed, step * len(chosen) + row, _STREAM])]
        ]
        inputs, targets, segments = corrupted_rows(corrupted or [[]], self._context, self._corruption.has_answers)
        return Batch(inputs, targets, segments, int(self._targets[chosen].sum()), int(self._filled[chosen].sum()))

    def _targets_of_segments(self) -> IntArray:
        return self._corruption.target_counts(self._packing.lengths)


def corrupted_rows(
    rows: Sequence[Sequence[Corrupted]], context: int, has_answers: bool
) -> tuple[IntArray, IntArray, IntArray]:
    """Return inputs, targets and segments of at least one row, each of segments that together fit the context.

    They are (R, S) token ids, (R, T) targets of the last T columns, and (R, S) numbers of segments. `has_answers`: a
    decoder's input follows the encoder's.
    """
    inputs, numbers = [], []
    for part in ("shown", "answer") if has_answers else ("shown",):
        pieces = [[getattr(segment, part) for segment in row] for row in rows]
        width = row_width(max(1, *(sum(map(len, row)) for row in pieces)), context)
        inputs.append(_padded(pieces, width, 0))
        numbered = [[np.full(len(piece), at) for at, piece in enumerate(row)] for row in pieces]
        numbers.append(_padded(numbered, width, PADDING_SEGMENT))
    targets = _padded([[segment.targets for segment in row] for row in rows], width, IGNORED)
    return np.hstack(inputs), targets, np.hstack(numbers)


def _padded(rows: Sequence[Sequence[IntArray]], width: int, padding: int) -> IntArray:
    padded = np.full((len(rows), width), padding, dtype=np.int64)
    for number, row in enumerate(rows):
        joined = np.concatenate([np.empty(0, np.int64), *row])
        padded[number, : len(joined)] = joined
    return padded


def _cut(packing: Packing, context: int) -> Packing:
    """Cut sequences to the context: a plan for next-token prediction has one token more."""
    lengths = packing.lengths.copy()
    lengths[packing.offsets[1:][packing.filled > context] - 1] -= 1
    return Packing(packing.offsets, packing.starts, lengths)
