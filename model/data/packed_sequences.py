"""Batches of packed sequences as a pure function of the step.

Notable:
- `batch(step, rank, world_size)` depends on the plan and the seed alone. The state of training data is one number, and
  a run resumed on another number of processes sees the same sequences in the same steps.
- A sequence is a list of segments of a flat token array. A prediction never crosses from one segment into the next,
  and padding is never predicted.
- A batch whose sequences each hold a single segment has no segment ids, so that attention takes its plain causal path:
  padding is at the end, where causal attention does not see it.
- Pages of a mapped token file are released every few hundred segments. They stay in the system's cache, but leave this
  process's memory, which would otherwise hold the whole dataset after an epoch.
"""

import mmap
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

IGNORED = -100
"""Target of a position that is not in the loss."""
PADDING_SEGMENT = -1
"""Segment id of padding."""

_WIDTH_STEP = 32
_MAPPED_SEGMENTS = 512
"""Segments between two releases of mapped pages: touching one maps 64 KiB on Linux."""

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """One process's share of one optimizer step; R sequences of T positions."""

    inputs: IntArray
    """(R, T) token ids."""
    targets: IntArray
    """(R, T) next token ids, `IGNORED` where there is none to predict."""
    segments: IntArray | None
    """(R, T) number of the segment within its sequence, `PADDING_SEGMENT` at the end; None: one segment each."""
    targets_in_step: int
    """Predicted tokens of the whole step, over all processes: what the loss is divided by. For a loss that counts
    something else, the number of those."""
    tokens_in_step: int
    """Tokens of the whole step without padding, over all processes."""
    columns: tuple[npt.NDArray[np.float32], ...] = ()
    """Numbers that a loss needs beside the tokens, each array with an entry for each row."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the log says of the step beside its loss."""


class Batches(Protocol):
    """An endless stream of batches, which a loop takes a step at a time."""

    def batch(self, step: int, rank: int, world_size: int) -> Batch:
        """Return the share of process `rank` of `world_size` in step number `step`, from 0."""


@dataclass(frozen=True)
class Packing:
    """The segments of the token array that make up each sequence."""

    offsets: IntArray
    """(sequences + 1) first segment of each sequence."""
    starts: IntArray
    """(segments) position of each segment's first token in the token array."""
    lengths: IntArray
    """(segments) tokens of each segment."""

    @property
    def sequences(self) -> int:
        """Number of sequences."""
        return len(self.offsets) - 1

    @property
    def filled(self) -> IntArray:
        """Tokens of each sequence."""
        return self.sums(self.lengths)

    def sums(self, values: IntArray) -> IntArray:
        """Return the sum for each sequence of the values of its segments."""
        running = np.concatenate([[0], np.cumsum(values)])
        return running[self.offsets[1:]] - running[self.offsets[:-1]]


class ShuffledOrder:
    """Which of some examples each step takes: all of them once an epoch, in an order drawn anew for each."""

    def __init__(self, count: int, per_step: int, seed: int) -> None:
        self._count, self._per_step, self._seed = count, per_step, seed
        self._order = lru_cache(maxsize=2)(self._order_of_epoch)

    def of_step(self, step: int) -> IntArray:
        """Return the numbers of the examples in step number `step`, in order."""
        positions = np.arange(step * self._per_step, (step + 1) * self._per_step)
        epochs = positions // self._count
        chosen = np.empty(len(positions), dtype=np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            chosen[here] = self._order(int(epoch))[positions[here] % self._count]
        return chosen

    def _order_of_epoch(self, epoch: int) -> IntArray:
        return np.random.default_rng([self._seed, epoch]).permutation(self._count)


class PackedSequences:
    """An endless stream of sequences, reshuffled in each epoch, cut into optimizer steps."""

    def __init__(
        self,
        tokens: npt.NDArray[Any],
        packing: Packing,
        context: int,
        global_batch_size: int,
        seed: int,
        trained: npt.NDArray[np.bool_] | None = None,
        pad_token: int = 0,
    ) -> None:
        """Take the sequences of `packing`, of at most context + 1 tokens each; `tokens` may be memory mapped.

        `trained` says for each token whether predicting it counts; None counts all.
        """
        self._tokens, self._packing, self._context = tokens, packing, context
        self._trained, self._pad_token, self._seed = trained, pad_token, seed
        self._filled, self._targets = packing.filled, packing.sums(self._targets_of_segments())
        self._order = ShuffledOrder(packing.sequences, global_batch_size, seed)
        self._touched = 0

    @property
    def sequences(self) -> int:
        """Number of sequences."""
        return self._packing.sequences

    def batch(self, step: int, rank: int, world_size: int) -> Batch:
        """Return the share of process `rank` of `world_size` in step number `step`, from 0.

        Shares are consecutive runs of the step's sequences and differ by at most one in size. A process without any
        (more processes than sequences) gets one sequence of padding, since every process has to take part in the step.
        """
        chosen = self.sequences_of_step(step)
        inputs, targets, segments = self._rows(chosen[share(len(chosen), rank, world_size)])
        return Batch(inputs, targets, segments, int(self._targets[chosen].sum()), int(self._filled[chosen].sum()))

    def sequences_of_step(self, step: int) -> IntArray:
        """Return the numbers of the sequences in step number `step`, in order."""
        return self._order.of_step(step)

    def segments_of(self, sequence: int) -> list[IntArray]:
        """Return the tokens of each segment of a sequence, in order."""
        first, last = self._packing.offsets[sequence : sequence + 2]
        ends = zip(self._packing.starts[first:last], self._packing.lengths[first:last], strict=True)
        found = [self._tokens[start : start + length].astype(np.int64) for start, length in ends]
        self._let_pages_go(len(found))
        return [tokens for tokens in found if len(tokens)]

    def _rows(self, chosen: IntArray) -> tuple[IntArray, IntArray, IntArray | None]:
        packing = self._packing
        width = row_width(int(self._filled[chosen].max(initial=2)) - 1, self._context)
        rows = max(1, len(chosen))
        tokens = np.full((rows, width + 1), self._pad_token, dtype=np.int64)
        segments = np.full((rows, width + 1), PADDING_SEGMENT, dtype=np.int64)
        counted = np.zeros((rows, width + 1), dtype=bool)
        several = False
        for row, sequence in enumerate(chosen):
            first, last = packing.offsets[sequence : sequence + 2]
            several |= bool(last - first > 1)
            at = 0
            for number, segment in enumerate(range(first, last)):
                start, length = packing.starts[segment], packing.lengths[segment]
                tokens[row, at : at + length] = self._tokens[start : start + length]
                segments[row, at : at + length] = number
                if length > 1:
                    trained = True if self._trained is None else self._trained[start + 1 : start + length]
                    counted[row, at + 1 : at + length] = trained
                at += length
        self._let_pages_go(int((packing.offsets[chosen + 1] - packing.offsets[chosen]).sum()))
        targets = np.where(counted[:, 1:], tokens[:, 1:], IGNORED)
        return tokens[:, :-1].copy(), targets, segments[:, :-1].copy() if several else None

    def _let_pages_go(self, touched: int) -> None:
        """Count segments; now and then unmap the token file's pages, which the next access maps again."""
        self._touched += touched
        mapping = getattr(self._tokens, "_mmap", None)
        if self._touched >= _MAPPED_SEGMENTS and isinstance(mapping, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self._touched = 0
            mapping.madvise(mmap.MADV_DONTNEED)

    def _targets_of_segments(self) -> IntArray:
        packing = self._packing
        if self._trained is None:
            return packing.lengths - 1
        before = np.concatenate([[0], np.cumsum(self._trained, dtype=np.int64)])
        return before[packing.starts + packing.lengths] - before[packing.starts + 1]


def share(count: int, rank: int, world_size: int) -> slice:
    """Return which of `count` rows process `rank` takes: a run as long as the others' or one shorter."""
    first, last = (count * edge // world_size for edge in (rank, rank + 1))
    return slice(first, last)


def row_width(longest: int, context: int) -> int:
    """Return the columns of rows whose longest has `longest` tokens: few different widths, none above the context."""
    return min(context, -(-longest // _WIDTH_STEP) * _WIDTH_STEP)


def reply_rows(
    texts: Sequence[tuple[Sequence[int], Sequence[int]]], context: int, pad_token: int, least: int = 1
) -> tuple[IntArray, IntArray]:
    """Return inputs and targets (R, T) of prompts with their replies, a row each; the replies alone are targets.

    There are `least` rows at least: where a process has no text, they are padding.
    """
    width = row_width(max((len(prompt) + len(reply) for prompt, reply in texts), default=2) - 1, context)
    inputs = np.full((max(least, len(texts)), width), pad_token, dtype=np.int64)
    targets = np.full_like(inputs, IGNORED)
    for row, (prompt, reply) in enumerate(texts):
        begin, end = len(prompt) - 1, len(prompt) + len(reply) - 1
        inputs[row, :end] = (*prompt, *reply)[:-1]
        targets[row, begin:end] = reply
    return inputs, targets
