"""What becomes of a document by its classifiers' scores: thresholds over the whole crawl, and who applies them.

Notable: a share to keep is exact. Documents with one and the same score are told apart by their ids, so it does not
matter how they are split into parts; and the score at the threshold is found by counting, in memory that does not
grow with the crawl.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.classify.training import ScoreRuleConfig
from tasks.dataset.document_check import CheckResult

Float32s = npt.NDArray[np.float32]

THRESHOLDS = pa.schema(
    [
        ("name", pa.string()),  # of the classifier
        ("rule", pa.string()),  # min_score | max_score | keep_top
        ("score", pa.float64()),  # a score that equals it stays, but see last_id
        ("last_id", pa.string()),  # keep_top: of the documents with just this score, those after this id go
    ]
)
_BINS = 1 << 16


def signal_name(classifier: str) -> str:
    """The column of decisions that holds a classifier's score."""
    return f"score_{classifier}"


def scores_schema(classifiers: Iterable[str]) -> pa.Schema:
    """The document's id, and a column for each classifier's scores."""
    return pa.schema([("id", pa.string()), *((signal_name(name), pa.float32()) for name in classifiers)])


def reason_name(classifier: str) -> str:
    """The reason of a document that goes because of a classifier's score."""
    return f"classifier_{classifier}"


@dataclass(frozen=True)
class Threshold:
    """Where a classifier parts what stays from what goes."""

    name: str
    rule: str
    score: float
    last_id: str | None = None

    def goes(self, scores: pa.ChunkedArray, ids: pa.ChunkedArray) -> pa.ChunkedArray:
        """Whether each document must go; false of one that has no score."""
        exact = scores.cast(pa.float64())
        beyond = pc.greater(exact, self.score) if self.rule == "max_score" else pc.less(exact, self.score)
        if self.last_id is not None:
            beyond = pc.or_(beyond, pc.and_(pc.equal(exact, self.score), pc.greater(ids, self.last_id)))
        return pc.fill_null(beyond, False)


class ScoreCounts:
    """Counts scores (0 to 1) in two passes to find the one at a place in their order, the highest first.

    Floats from 0 up sort as their bits do: the first pass counts the high halves, the second the low halves of those
    that share the high half looked for.
    """

    def __init__(self) -> None:
        self._high = np.zeros(_BINS, np.int64)
        self._low = np.zeros(_BINS, np.int64)
        self._bin = 0
        self._rest = 0

    @property
    def total(self) -> int:
        """How many scores the first pass has seen."""
        return int(self._high.sum())

    def add(self, scores: Float32s) -> None:
        """First pass."""
        self._high += np.bincount(_bits(scores) >> np.uint32(16), minlength=_BINS)

    def look_for(self, place: int) -> None:
        """End the first pass: the score at `place` (from 0, less than `total`) is wanted."""
        self._bin, self._rest = _from_the_top(self._high, place)

    def add_again(self, scores: Float32s) -> None:
        """Second pass, over the same scores."""
        bits = _bits(scores)
        self._low += np.bincount(bits[bits >> np.uint32(16) == self._bin] & np.uint32(0xFFFF), minlength=_BINS)

    def found(self) -> tuple[float, int]:
        """The score, and how many places before it, among those with the very same score, are passed."""
        low, rest = _from_the_top(self._low, self._rest)
        bits = np.array([self._bin << 16 | low], np.uint32)
        return float(bits.view(np.float32)[0]), rest


def _bits(scores: Float32s) -> npt.NDArray[np.uint32]:
    return np.ascontiguousarray(scores, np.float32).view(np.uint32)


def _from_the_top(counts: npt.NDArray[np.int64], place: int) -> tuple[int, int]:
    """The bin that holds `place`, counted from the last bin down, and the place within it."""
    passed = np.cumsum(counts[::-1])
    bin_from_top = int(np.searchsorted(passed, place, "right"))
    before = int(passed[bin_from_top - 1]) if bin_from_top else 0
    return len(counts) - 1 - bin_from_top, place - before


def find_threshold(name: str, rule: ScoreRuleConfig, read: Callable[[list[str]], Iterator[pa.Table]]) -> Threshold:
    """A classifier's threshold.

    `read` gives the asked columns of all documents' scores; it is called for `keep_top` only, three times.
    """
    if rule.min_score is not None:
        return Threshold(name, "min_score", rule.min_score)
    if rule.max_score is not None:
        return Threshold(name, "max_score", rule.max_score)
    assert rule.keep_top is not None
    column, counts = signal_name(name), ScoreCounts()
    for table in read([column]):
        counts.add(table[column].to_numpy())
    if not counts.total:
        return Threshold(name, "keep_top", 0.0)
    counts.look_for(max(round(rule.keep_top * counts.total), 1) - 1)
    for table in read([column]):
        counts.add_again(table[column].to_numpy())
    score, place = counts.found()
    ties: list[str] = []
    for table in read(["id", column]):
        ties += table["id"].filter(pc.equal(table[column].cast(pa.float64()), score)).to_pylist()
    return Threshold(name, "keep_top", score, sorted(ties)[place])


def thresholds_table(thresholds: Sequence[Threshold]) -> pa.Table:
    """The thresholds as rows of `THRESHOLDS`."""
    return pa.Table.from_pylist([asdict(threshold) for threshold in thresholds], schema=THRESHOLDS)


def read_thresholds(table: pa.Table) -> list[Threshold]:
    """The thresholds in rows of `THRESHOLDS`."""
    return [Threshold(**row) for row in table.to_pylist()]


class ClassifierCheck:
    """Lets documents go whose score is on the wrong side of a threshold."""

    def __init__(self, thresholds: Sequence[Threshold], scores: pa.Table) -> None:
        """`scores`, with the columns of `scores_schema`, are those of the documents that are no duplicates."""
        self._thresholds = thresholds
        self._scores = scores
        self.signals = scores_schema(threshold.name for threshold in thresholds).remove(0)

    def check(self, documents: pa.Table) -> CheckResult:
        """Scores and verdicts; a duplicate has neither."""
        places = pc.index_in(documents["id"], value_set=self._scores["id"])
        reasons: list[list[str]] = [[] for _ in range(documents.num_rows)]
        signals = {}
        for threshold in self._thresholds:
            scores = self._scores[signal_name(threshold.name)].take(places)
            for place in np.flatnonzero(threshold.goes(scores, documents["id"]).to_numpy()):
                reasons[place].append(reason_name(threshold.name))
            signals[signal_name(threshold.name)] = scores
        return CheckResult(reasons, pa.table(signals, schema=self.signals))
