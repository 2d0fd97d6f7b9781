"""From the selected records of one WARC to the requests that fetch them, and what those cost.

Notable: a request costs a server about as much as some hundred kilobytes, and each may be refused: neighbouring records
are fetched in one, and a WARC of which most is selected is fetched in one altogether.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tasks.base.errors import PermanentError
from tasks.fetch.page_selection import SelectConfig


@dataclass(frozen=True)
class Records:
    """The selected records of one WARC, in file order."""

    path: str  # the WARC's path below the base
    offsets: np.ndarray  # where each begins in the WARC, in bytes
    lengths: np.ndarray  # bytes of each, as stored

    @property
    def ends(self) -> np.ndarray:
        """The offset of the byte after each."""
        return self.offsets + self.lengths

    def original_offset(self, position: int) -> int:
        """Return the offset in the WARC of the byte at `position` of the file that holds the selected records alone."""
        place = min(int(np.searchsorted(self._begins, position, "right")) - 1, len(self.offsets) - 1)
        return int(self.offsets[place]) + position - int(self._begins[place])

    @cached_property
    def _begins(self) -> np.ndarray:
        """Where each record begins in the file that holds the selected records alone."""
        return np.concatenate(([0], np.cumsum(self.lengths)))


def checked_records(path: str, offsets: Sequence[int] | np.ndarray, lengths: Sequence[int] | np.ndarray) -> Records:
    """Return the records sorted, each once. Raises PermanentError where they cannot be those of one file."""
    starts, sizes = np.asarray(offsets, np.int64), np.asarray(lengths, np.int64)
    order = np.lexsort((sizes, starts))
    starts, sizes = starts[order], sizes[order]
    different = np.append(True, (np.diff(starts) != 0) | (np.diff(sizes) != 0))[: len(starts)]
    starts, sizes = starts[different], sizes[different]
    wrong = (starts < 0) | (sizes <= 0)
    wrong[1:] |= starts[1:] < starts[:-1] + sizes[:-1]
    if wrong.any():
        at = int(np.argmax(wrong))
        raise PermanentError(
            f"{path}: the index says that a record of {sizes[at]:,} bytes begins at {starts[at]:,}, which overlaps"
            " another or is no place in a file: the index is not this crawl's, or is damaged."
        )
    return Records(path, starts, sizes)


def spans(records: Records, select: SelectConfig) -> np.ndarray:
    """Return the requests that fetch all of `records`: an array of (first byte, byte after the last), in file order."""
    begins, ends = records.offsets, records.ends
    if not len(begins):
        return np.zeros((0, 2), np.int64)
    breaks = np.flatnonzero(begins[1:] - ends[:-1] > select.merge_gap_bytes)
    joined = np.column_stack((begins[np.r_[0, breaks + 1]], ends[np.r_[breaks, len(ends) - 1]]))
    read = int((joined[:, 1] - joined[:, 0]).sum())
    extent = int(ends[-1] - begins[0])
    return np.array([[begins[0], ends[-1]]]) if read >= select.whole_from_share * extent else joined


@dataclass(frozen=True)
class RangeCost:
    """What it takes to fetch the selected records of some WARCs."""

    warcs: int = 0
    whole_warcs: int = 0  # those fetched in one request
    requests: int = 0
    pages: int = 0
    wanted_bytes: int = 0
    fetched_bytes: int = 0  # the selected bytes and the gaps between them that are fetched along

    def in_words(self) -> str:
        """Return the cost in one line of words."""
        share = 100 * self.wanted_bytes / self.fetched_bytes if self.fetched_bytes else 0
        return (
            f"{self.pages:,} pages from {self.warcs:,} WARC files, {self.fetched_bytes / 1e9:,.3f} GB"
            f" ({share:.0f}% of it wanted) in {self.requests:,} requests"
        )

    def __add__(self, other: RangeCost) -> RangeCost:
        return RangeCost(**{name: getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__})


def range_cost(records: Records, select: SelectConfig) -> RangeCost:
    """Return what it takes to fetch the selected records of one WARC."""
    asked = spans(records, select)
    return RangeCost(
        warcs=1,
        whole_warcs=int(len(asked) == 1),
        requests=len(asked),
        pages=len(records.offsets),
        wanted_bytes=int(records.lengths.sum()),
        fetched_bytes=int((asked[:, 1] - asked[:, 0]).sum()),
    )
