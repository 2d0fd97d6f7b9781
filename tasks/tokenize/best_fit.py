"""The packing plan: which stretch of which document's tokens stands where in which training sequence.

Notable: a plan is made from lengths alone, once, so training needs no buffer and no state. Nothing is cropped: a
document longer than a row is cut into pieces that overlap by one token. Within a segment the inputs are its tokens but
the last and the targets its tokens but the first, so with the overlap each token of a document but its first is a
target exactly once. Pieces are packed by best fit decreasing (Johnson 1974), which here works on all pieces of one
length at a time: its cost grows with the number of lengths, hardly with the number of documents.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from tasks.base.config import Config
from tasks.base.errors import PermanentError
from tasks.base.hashing import mix64
from tasks.dataset.schemas import PACKING

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


class PackingConfig(Config):
    """What a training sequence is."""

    context: int = Field(default=2048, ge=2, le=1 << 20)
    """Tokens of input in a sequence; its row in the plan holds one more, the last target."""
    seed: int = Field(default=1, ge=0, lt=1 << 64)
    """Seed of the order in which the sequences are numbered."""

    @property
    def capacity(self) -> int:
        """Tokens in a row."""
        return self.context + 1


@dataclass(frozen=True)
class Pieces:
    """Stretches of documents, none longer than a row, all arrays [n_pieces], in the order of the documents."""

    document: Int32s
    """Index into the lengths given."""
    start: Int32s
    """Offset of the piece within the document, in tokens."""
    length: Int32s
    """Tokens in the piece: 2 up to the row's capacity."""


@dataclass(frozen=True)
class Plan:
    """Pieces in rows: all arrays [n_pieces], ordered by sequence, the longest piece of a sequence first."""

    sequence: Int64s
    document: Int32s
    start: Int32s
    length: Int32s
    sequences: int
    """Number of rows."""


def cut(lengths: npt.NDArray[np.integer], capacity: int) -> Pieces:
    """Cut documents of `lengths` tokens into pieces of at most `capacity`, each starting on the last token of the one
    before. A document of fewer than two tokens has nothing to predict and no piece."""
    lengths = lengths.astype(np.int32)
    counts = np.maximum(0, -(-(lengths - 1) // (capacity - 1)))
    document = np.repeat(np.arange(len(lengths), dtype=np.int32), counts)
    first = np.cumsum(counts) - counts
    start = ((np.arange(len(document)) - first[document]) * (capacity - 1)).astype(np.int32)
    return Pieces(document, start, np.minimum(capacity, lengths[document] - start))


class _Rows:
    """Rows being filled, grouped by the room left in them."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.count = 0
        self._waiting: defaultdict[int, list[Int64s]] = defaultdict(list)
        self._has_room = np.zeros(capacity + 1, dtype=bool)

    def tightest(self, length: int) -> int | None:
        """Return the smallest room of at least `length` that any row has."""
        room = int(np.argmax(self._has_room[length:])) + length
        return room if self._has_room[room] else None

    def take(self, room: int, wanted: int) -> Int64s:
        """Remove and return at most `wanted` of the rows with exactly `room`, at least one."""
        waiting = self._waiting[room]
        rows = waiting.pop()
        if len(rows) > wanted:
            waiting.append(rows[wanted:])
            rows = rows[:wanted]
        self._has_room[room] = bool(waiting)
        return rows

    def put(self, rows: Int64s, room: int) -> None:
        """Add rows that have `room` left."""
        if len(rows) and room > 1:
            self._waiting[room].append(rows)
            self._has_room[room] = True

    def new(self, number: int) -> Int64s:
        """Return `number` new, empty rows."""
        rows = np.arange(self.count, self.count + number, dtype=np.int64)
        self.count += number
        return rows


def _place(rows: _Rows, length: int, number: int) -> Int64s:
    """Place `number` pieces of `length`, each in the row where it leaves the least room; return their rows, [number].

    A row that takes one piece and has room for another is at once the tightest, so it is filled up with this length
    before the next one is touched: that is why whole groups of rows can be filled at a time.
    """
    placed: list[Int64s] = []
    while number:
        room = rows.tightest(length)
        each = (rows.capacity if room is None else room) // length
        wanted = -(-number // each)
        taken = rows.new(wanted) if room is None else rows.take(room, wanted)
        space = rows.capacity if room is None else room
        pieces = min(number, len(taken) * each)
        placed.append(np.repeat(taken, each)[:pieces])
        full = pieces // each
        rows.put(taken[:full], space - each * length)
        rows.put(taken[full:], space - (pieces - full * each) * length)
        number -= pieces
    return np.concatenate(placed)


def best_fit(lengths: npt.NDArray[np.integer], capacity: int, seed: int = 1) -> Plan:
    """Pack documents of `lengths` [n] tokens into rows of `capacity` tokens; sequences are numbered in the order that
    `seed` gives, since best fit opens the rows of long documents first."""
    pieces = cut(lengths, capacity)
    order = np.argsort(-pieces.length, kind="stable")
    sizes, firsts, numbers = np.unique(-pieces.length[order], return_index=True, return_counts=True)
    rows = _Rows(capacity)
    placed = np.empty(len(order), dtype=np.int64)
    for size, first, number in zip((-sizes).tolist(), firsts.tolist(), numbers.tolist(), strict=True):
        placed[first : first + number] = _place(rows, size, number)
    shuffled = np.argsort(mix64(np.arange(rows.count, dtype=np.int64), seed), kind="stable")
    number_of = np.empty(rows.count, dtype=np.int64)
    number_of[shuffled] = np.arange(rows.count, dtype=np.int64)
    sequence = number_of[placed]
    in_rows = np.argsort(sequence, kind="stable")
    chosen = order[in_rows]
    return Plan(sequence[in_rows], pieces.document[chosen], pieces.start[chosen], pieces.length[chosen], rows.count)


def packing_counters(plan: Plan, capacity: int) -> dict[str, int]:
    """Return `sequences`, `segments`, `tokens` (in the rows), `targets` (tokens learnt from) and `padding`."""
    tokens = int(plan.length.sum())
    return {
        "sequences": plan.sequences,
        "segments": len(plan.length),
        "tokens": tokens,
        "targets": tokens - len(plan.length),
        "padding": plan.sequences * capacity - tokens,
    }


def plan_table(parts: Int32s, rows: Int32s, plan: Plan) -> pa.Table:
    """Return the plan as rows of `tasks.dataset.schemas.PACKING`, one a sequence, over training documents with these
    `parts` and `rows` there, both [n]. Raises `PermanentError` where there is not a single token to predict."""
    if plan.sequences == 0:
        raise PermanentError(
            f"Nothing to train on: the {len(parts)} documents of the training split hold no token to predict. "
            "Look at `sluice status` for the stage that removed everything, and loosen it or read more WARCs."
        )
    places = (np.asarray(parts)[plan.document], np.asarray(rows)[plan.document], plan.start, plan.length)
    segments = pa.StructArray.from_arrays(
        [pa.array(column.astype(np.int32)) for column in places], names=["part", "row", "start", "length"]
    )
    offsets = np.searchsorted(plan.sequence, np.arange(plan.sequences + 1)).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), segments)
    return pa.table([pa.array(np.arange(plan.sequences, dtype=np.int64)), lists], schema=PACKING)
