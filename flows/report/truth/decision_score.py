"""What the pipeline did with each page against what it should have done, stage by stage and reason by reason.

Notable:
- A removal is right when that stage or one before it should remove the page, early when a later one should, wrong when
  the page should be kept. Early removals count for precision: the page had to go.
- Of a cluster of copies one page should be kept, and whichever survives counts as that one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from flows.report.readers.funnel import ReasonCount
from flows.store.datasets import most_frequent
from flows.store.deciding_stages import DECIDING_STAGES
from tasks.synthetic_web.truth import PageTruth

KEEP = "keep"
LOST = "no decision"
_STAGE_OF = {"extract": "extract", "filter": "filter", "duplicates": "corpus"}
_COPIED = "original of a kept copy"
_MISTAKES = 12


class Outcome(NamedTuple):
    """What became of a page."""

    removed_by: str | None
    """The stage; None where it was kept."""
    reasons: tuple[str, ...]
    duplicate_of: str | None


@dataclass(frozen=True)
class StageScore:
    """One stage's removals against the truth, over the pages that reached it."""

    stage: str
    reached: int
    right: int
    """Removed, and had to be by this stage."""
    early: int
    """Removed, and a later stage should have done it."""
    wrong: int
    """Removed, and should have been kept."""
    missed: int
    """Kept, and should have been removed by this stage."""

    @property
    def precision(self) -> float | None:
        """Return the share of the removed pages that had to go; None where nothing was removed."""
        removed = self.right + self.early + self.wrong
        return (self.right + self.early) / removed if removed else None

    @property
    def recall(self) -> float | None:
        """Return the share of the pages that had to go by now that went; None where there were none."""
        due = self.right + self.missed
        return self.right / due if due else None


class ReasonScore(NamedTuple):
    """What became of the pages that should go for one reason."""

    reason: str
    expected: str
    """The stage that should remove them."""
    pages: int
    by_stage: Mapping[str, int]
    """Pages by the stage that removed them; `keep` where none did."""
    given: tuple[ReasonCount, ...]
    """Reasons that the pipeline gave, most frequent first; a page may have several."""


class Mistake(NamedTuple):
    """A page that should have been kept and was not, or the other way round."""

    id: str
    url: str
    kind: str
    expected: str
    outcome: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class DecisionScore:
    """All decisions against the truth."""

    pages: int
    outcomes: Mapping[str, Mapping[str, int]]
    """Pages by what should become of them, and by what did: `keep`, a stage's name, or `no decision`."""
    stages: tuple[StageScore, ...]
    reasons: tuple[ReasonScore, ...]
    mistakes: tuple[Mistake, ...]
    """Some of the wrong removals and of the misses, in the order of the crawl."""

    @property
    def agreeing(self) -> float:
        """Return the share of the pages that were kept or removed as they should be."""
        right = sum(n for wanted, row in self.outcomes.items() for was, n in row.items() if _agree(wanted, was))
        return right / self.pages if self.pages else 0.0


def score_decisions(truth: Sequence[PageTruth], found: Mapping[str, Outcome], stages: Sequence[str]) -> DecisionScore:
    """Compare what became of each record with the truth; `stages` are those that ran, in order."""
    expected = _expectations(truth, found)
    order = [*stages, *(name for name in DECIDING_STAGES if name not in stages), KEEP]
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for page in truth:
        outcomes[expected[page.id]][_outcome(found.get(page.id))] += 1
    return DecisionScore(
        pages=len(truth),
        outcomes={name: dict(outcomes[name]) for name in (KEEP, *DECIDING_STAGES) if name in outcomes},
        stages=tuple(_stage_score(order, stage, expected, found) for stage in stages),
        reasons=tuple(_reason_scores(truth, expected, found)),
        mistakes=tuple(_mistakes(truth, expected, found)),
    )


def _outcome(became: Outcome | None) -> str:
    return LOST if became is None else became.removed_by or KEEP


def _agree(expected: str, outcome: str) -> bool:
    return outcome != LOST and (expected == KEEP) == (outcome == KEEP)


def _expectations(truth: Iterable[PageTruth], found: Mapping[str, Outcome]) -> dict[str, str]:
    """Return for each page `keep` or the stage that should remove it; the survivor of a cluster is the one to keep."""
    expected = {page.id: _STAGE_OF.get(page.expected, KEEP) for page in truth}
    clusters: defaultdict[str, list[str]] = defaultdict(list)
    for page in truth:
        if page.duplicate_cluster is not None:
            clusters[page.duplicate_cluster].append(page.id)
    for members in clusters.values():
        survivors = [id for id in members if _outcome(found.get(id)) == KEEP]
        if survivors:
            expected.update(dict.fromkeys(members, _STAGE_OF["duplicates"]))
            expected[survivors[0]] = KEEP
    return expected


def _stage_score(
    stages: Sequence[str], stage: str, expected: Mapping[str, str], found: Mapping[str, Outcome]
) -> StageScore:
    order = stages.index
    counts: Counter[str] = Counter()
    for id, wanted in expected.items():
        outcome = _outcome(found.get(id))
        if outcome == LOST or order(outcome) < order(stage):
            continue
        due = order(wanted) <= order(stage)
        if outcome == stage:
            counts["right" if due else "wrong" if wanted == KEEP else "early"] += 1
        elif due:
            counts["missed"] += 1
        counts["reached"] += 1
    return StageScore(stage, *(counts[name] for name in ("reached", "right", "early", "wrong", "missed")))


def _reason_scores(
    truth: Iterable[PageTruth], expected: Mapping[str, str], found: Mapping[str, Outcome]
) -> Iterator[ReasonScore]:
    by_reason: defaultdict[tuple[str, str], list[PageTruth]] = defaultdict(list)
    for page in truth:
        if expected[page.id] != KEEP:
            # An original whose copy was kept in its place has no reason of its own.
            by_reason[expected[page.id], page.reason or _COPIED].append(page)
    order = list(DECIDING_STAGES)
    for (stage, reason), pages in sorted(by_reason.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
        by_stage = Counter(_outcome(found.get(page.id)) for page in pages)
        given = Counter(name for page in pages if page.id in found for name in found[page.id].reasons)
        counts = tuple(ReasonCount(*counted) for counted in most_frequent(given))
        yield ReasonScore(reason, stage, len(pages), dict(by_stage), counts)


def _mistakes(
    truth: Iterable[PageTruth], expected: Mapping[str, str], found: Mapping[str, Outcome]
) -> Iterator[Mistake]:
    """Yield the first few of each kind of mistake."""
    seen: Counter[tuple[str, str]] = Counter()
    for page in truth:
        became, wanted = found.get(page.id), expected[page.id]
        outcome = _outcome(became)
        if _agree(wanted, outcome):
            continue
        seen[page.kind, outcome] += 1
        if seen[page.kind, outcome] <= 2 and seen.total() <= _MISTAKES:
            yield Mistake(page.id, page.url, page.kind, wanted, outcome, became.reasons if became else ())
