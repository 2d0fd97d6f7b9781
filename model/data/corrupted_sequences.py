"""Batches of packed sequences with part of each segment hidden, as a pure function of the step.

Notable:
- What is hidden is drawn again each time a sequence comes up (RoBERTa, arXiv:1907.11692, section 4.1), from a generator
  seeded by the row's place in the whole run; so neither a resume nor the number of processes changes it.
- Every batch has segment ids, also for padding, since an encoder sees both sides.
- With a decoder, a row is the encoder's input, padded, and after it the decoder's. The targets are as wide as the
  decoder's input, which tells a model where to split.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model.data.corruption import Corrupted, Corruption
from model.data.packed_sequences import IGNORED, PADDING_SEGMENT, Batch, IntArray, PackedSequences, Packing, share

_WIDTH_STEP = 32
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
        """
        Args:
            tokens: flat token ids, may be memory mapped.
            packing: the sequences, each of at most context + 1 tokens, of which the last is left out.
            context: T, the positions of a full sequence.
            global_batch_size: sequences of a step over all processes.
            seed: seeds the order and what is hidden.
            corruption: what is hidden.
        """
        self._corruption = corruption
        super().__init__(tokens, _cut(packing, context), context, global_batch_size, seed)

    def batch(self, step: int, rank: int, world_size: int) -> Batch:
        """Return a batch, always with `segments`; `targets` belong to the last columns of `inputs`."""
        chosen = self.sequences_of_step(step)
        rows = range(len(chosen))[share(len(chosen), rank, world_size)]
        corrupted = [
            self._corrupted(chosen[row], np.random.default_rng([self._seed, step * len(chosen) + row, _STREAM]))
            for row in rows
        ]
        inputs, targets, segments = corrupted_rows(corrupted or [[]], self._context, self._corruption.has_answers)
        return Batch(inputs, targets, segments, int(self._targets[chosen].sum()), int(self._filled[chosen].sum()))

    def _corrupted(self, sequence: int, draws: np.random.Generator) -> list[Corrupted]:
        return [self._corruption.corrupt(segment, draws) for segment in self.segments_of(sequence)]

    def _targets_of_segments(self) -> IntArray:
        return self._corruption.target_counts(self._packing.lengths)


def corrupted_rows(
    rows: Sequence[Sequence[Corrupted]], context: int, has_answers: bool
) -> tuple[IntArray, IntArray, IntArray]:
    """Return inputs, targets and segments of rows, each made of segments that together fit the context.

    Args:
        rows: at least one; a row may have no segments.
        context: T, the most positions of each part of a row.
        has_answers: whether a decoder's input follows the encoder's.

    Returns:
        (R, S) token ids, (R, T) targets of the last T columns, (R, S) numbers of segments.
    """
    shown = [[segment.shown for segment in row] for row in rows]
    answers = [[segment.answer for segment in row] for row in rows]
    targets = [[segment.targets for segment in row] for row in rows]
    parts = [shown, answers] if has_answers else [shown]
    widths = [_width(part, context) for part in parts]
    inputs = [_padded(part, width, 0) for part, width in zip(parts, widths, strict=True)]
    numbers = [
        _padded([[np.full(len(piece), at) for at, piece in enumerate(row)] for row in part], width, PADDING_SEGMENT)
        for part, width in zip(parts, widths, strict=True)
    ]
    return np.hstack(inputs), _padded(targets, widths[-1], IGNORED), np.hstack(numbers)


def _padded(rows: Sequence[Sequence[IntArray]], width: int, padding: int) -> IntArray:
    padded = np.full((len(rows), width), padding, dtype=np.int64)
    for number, row in enumerate(rows):
        joined = np.concatenate([np.empty(0, np.int64), *row])
        padded[number, : len(joined)] = joined
    return padded


def _width(rows: Sequence[Sequence[IntArray]], context: int) -> int:
    longest = max(sum(len(piece) for piece in row) for row in rows)
    return min(context, -(-max(1, longest) // _WIDTH_STEP) * _WIDTH_STEP)


def _cut(packing: Packing, context: int) -> Packing:
    """Cut sequences to the context: a plan for next-token prediction has one token more."""
    lengths = packing.lengths.copy()
    running = np.concatenate([[0], np.cumsum(lengths)])
    filled = running[packing.offsets[1:]] - running[packing.offsets[:-1]]
    lengths[packing.offsets[1:][filled > context] - 1] -= 1
    return Packing(packing.offsets, packing.starts, lengths)
