"""The lowest score that a share to keep comes to, over a whole crawl.

Notable: the share is exact. Documents with one and the same score are told apart by their ids, so it does not matter
how they are split into parts. The score is found by counting, in memory that does not grow with the crawl.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Float32s = npt.NDArray[np.float32]
_BINS = 1 << 16


LOWEST_KEPT = pa.schema(
    [
        ("name", pa.string()),  # of the classifier
        ("score", pa.float64()),  # documents with a lower one go
        ("last_id", pa.string()),  # of the documents with just this score, those after this id go
    ]
)
"""What the stage `thresholds` found."""


class LowestKept(NamedTuple):
    """Where a share to keep ends."""

    score: float
    """Documents with a lower score go."""
    last_id: str | None
    """Of the documents with just this score, those after this id go; None: none."""


def _bits(scores: Float32s) -> npt.NDArray[np.uint32]:
    return np.ascontiguousarray(scores, np.float32).view(np.uint32)


def _from_the_top(counts: npt.NDArray[np.int64], place: int) -> tuple[int, int]:
    """Return the bin that holds `place`, counted from the last bin down, and the place within it."""
    passed = np.cumsum(counts[::-1])
    bin_from_top = int(np.searchsorted(passed, place, "right"))
    before = int(passed[bin_from_top - 1]) if bin_from_top else 0
    return len(counts) - 1 - bin_from_top, place - before


def lowest_score(share: float, read: Callable[[], Iterable[Float32s]]) -> tuple[float, int]:
    """Return the last score of the highest `share`, and how many documents with just this score come before the last.

    Floats from 0 up sort as their bits do, so all scores (0 to 1) are read twice: the first pass counts the high halves
    of their bits, the second the low halves of those that share the high half looked for.
    """
    counts = np.zeros(_BINS, np.int64)
    for scores in read():
        counts += np.bincount(_bits(scores) >> np.uint32(16), minlength=_BINS)
    if not (total := int(counts.sum())):
        return 0.0, 0
    high, place = _from_the_top(counts, max(round(share * total), 1) - 1)
    counts = np.zeros(_BINS, np.int64)
    for scores in read():
        bits = _bits(scores)
        counts += np.bincount(bits[bits >> np.uint32(16) == high] & np.uint32(0xFFFF), minlength=_BINS)
    low, place = _from_the_top(counts, place)
    return float(np.array([high << 16 | low], np.uint32).view(np.float32)[0]), place


def find_lowest_kept(share: float, column: str, read: Callable[[list[str]], Iterator[pa.Table]]) -> LowestKept:
    """Return where the highest `share` of the scores in `column` ends; `read` gives columns of all the scores."""
    score, place = lowest_score(share, lambda: (table[column].to_numpy() for table in read([column])))
    ties: list[str] = []
    for table in read(["id", column]):
        ties += table["id"].filter(pc.equal(table[column].cast(pa.float64()), score)).to_pylist()
    return LowestKept(score, sorted(ties)[place] if ties else None)


def read_lowest_kept(tables: Iterable[pa.Table]) -> dict[str, LowestKept]:
    """Return what the rows of `LOWEST_KEPT` say, by classifier."""
    return {row["name"]: LowestKept(row["score"], row["last_id"]) for table in tables for row in table.to_pylist()}
