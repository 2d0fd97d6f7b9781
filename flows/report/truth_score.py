"""The demo's score: what each stage did with the pages of the made-up web, held against the truth about them.

Notable:
- A removal is right when the page had to go by that stage, early when a later stage would have removed it, wrong when
  the page was worth keeping. Early removals count for precision: the page is gone for good reason.
- Of a cluster of copies one page should be kept, and whichever survives counts as that one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.report.duplicate_score import DuplicateScore, score_duplicates
from flows.report.extraction_score import ExtractionScore, score_extraction
from flows.report.funnel import JUDGING_STAGES, ReasonCount
from flows.report.missing import Missing
from flows.run_record import RunRecord
from tasks.madeup import PageTruth, read_summary, read_truth
from tasks.manifest import read_manifest
from tasks.parts import read_part
from tasks.store import Store

KEEP = "keep"
LOST = "no decision"
_STAGE_OF = {"extract": "extract", "filter": "filter", "duplicates": "corpus"}
_MISTAKES = 12


@dataclass(frozen=True)
class Verdict:
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
    """Removed, and had to be by now."""
    early: int
    """Removed, and a later stage would have had to."""
    wrong: int
    """Removed, and should have been kept."""
    missed: int
    """Kept, and should have been gone by now."""

    @property
    def precision(self) -> float | None:
        """Share of the removed pages that had to go; None where nothing was removed."""
        removed = self.right + self.early + self.wrong
        return (self.right + self.early) / removed if removed else None

    @property
    def recall(self) -> float | None:
        """Share of the pages that had to go by now that went; None where there were none."""
        due = self.right + self.missed
        return self.right / due if due else None


@dataclass(frozen=True)
class ReasonScore:
    """What the pipeline made of the pages that should go for one reason."""

    reason: str
    expected: str
    """The stage that should remove them."""
    pages: int
    by_stage: Mapping[str, int]
    """Pages by the stage that removed them; `keep` where none did."""
    given: tuple[ReasonCount, ...]
    """Reasons that the pipeline gave, most frequent first; a page may have several."""


@dataclass(frozen=True)
class Mistake:
    """A page that should have been kept and was not, or the other way round."""

    id: str
    url: str
    kind: str
    expected: str
    outcome: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class TruthScore:
    """The whole pipeline against the truth."""

    pages: int
    outcomes: Mapping[str, Mapping[str, int]]
    """Pages by what should become of them, and by what did: `keep`, a stage's name, or `no decision`."""
    stages: tuple[StageScore, ...]
    reasons: tuple[ReasonScore, ...]
    mistakes: tuple[Mistake, ...]
    """Some of the wrong removals and of the misses, in the order of the crawl."""
    extraction: ExtractionScore
    duplicates: DuplicateScore | None
    """None where the corpus is not finished."""

    @property
    def agreeing(self) -> float:
        """Share of the pages that were kept or removed as they should."""
        right = sum(
            count
            for expected, row in self.outcomes.items()
            for outcome, count in row.items()
            if outcome != LOST and (expected == KEEP) == (outcome == KEEP)
        )
        return right / self.pages if self.pages else 0.0


def read_truth_score(store: Store, record: RunRecord) -> TruthScore | Missing:
    """The score of a run on the made-up web."""
    if not record.recipe.get("madeup"):
        return Missing("The truth is known only about the made-up web of the demo.")
    folder = madeup_folder(store, record)
    if read_summary(folder).config.model_dump(mode="json") != record.recipe["madeup"]:
        return Missing(f"The made-up web in {folder} is another one than this run crawled.")
    finished = [stage for stage in JUDGING_STAGES if read_manifest(store, stage, record.stages[stage].plan.fingerprint)]
    if "extract" not in finished:
        return Missing("The extraction is not finished, so there is nothing to hold against the truth yet.")
    verdicts = _verdicts(store, record, finished)
    clipped = record.stages["fetch"].plan.config.get("bytes_per_warc") is not None
    truth = _crawled(list(read_truth(folder)), verdicts, clipped)
    return _score(store, record, truth, verdicts, finished)


def madeup_folder(store: Store, record: RunRecord) -> Path:
    """Where the run's made-up web lies: in a local store, else in the local scratch folder."""
    root = store.local("") if store.is_local else Path(str(record.settings["scratch"])).resolve()
    return root / "madeup"


def _score(
    store: Store, record: RunRecord, truth: list[PageTruth], verdicts: dict[str, Verdict], finished: list[str]
) -> TruthScore:
    expected = _expectations(truth, verdicts)
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for page in truth:
        outcomes[expected[page.id]][_outcome(verdicts.get(page.id))] += 1
    duplicates = score_duplicates(truth, _clusters(verdicts, finished)) if "corpus" in finished else None
    return TruthScore(
        pages=len(truth),
        outcomes={name: dict(outcomes[name]) for name in (KEEP, *JUDGING_STAGES) if name in outcomes},
        stages=tuple(_stage_score(stage, expected, verdicts) for stage in finished),
        reasons=tuple(_reason_scores(truth, expected, verdicts)),
        mistakes=tuple(_mistakes(truth, expected, verdicts)),
        extraction=score_extraction(store, record, truth),
        duplicates=duplicates,
    )


def _verdicts(store: Store, record: RunRecord, finished: Iterable[str]) -> dict[str, Verdict]:
    """What became of each record, from the decisions of the finished stages."""
    verdicts: dict[str, Verdict] = {}
    for stage in finished:
        plan = record.stages[stage].plan
        columns = ["id", "kept", "reasons", *(["duplicate_of"] if stage == "corpus" else [])]
        for part in store.names(f"decisions/{stage}/{plan.fingerprint}"):
            if not part.endswith(".parquet"):
                continue
            for table in read_part(store, f"decisions/{stage}/{plan.fingerprint}/{part}", columns):
                for row in table.to_pylist():
                    verdicts[row["id"]] = Verdict(
                        None if row["kept"] else stage, tuple(row["reasons"]), row.get("duplicate_of")
                    )
    return verdicts


def _crawled(truth: list[PageTruth], verdicts: Mapping[str, Verdict], clipped: bool) -> list[PageTruth]:
    """The truth about those records that the run set out to read."""
    warcs = {_warc(id) for id in verdicts}
    return [page for page in truth if page.id in verdicts or (_warc(page.id) in warcs and not clipped)]


def _warc(id: str) -> str:
    return id.rsplit(":", 1)[0]


def _outcome(verdict: Verdict | None) -> str:
    return LOST if verdict is None else verdict.removed_by or KEEP


def _expectations(truth: Iterable[PageTruth], verdicts: Mapping[str, Verdict]) -> dict[str, str]:
    """For each page, `keep` or the stage that should remove it; the survivor of a cluster is the one to keep."""
    expected = {page.id: _STAGE_OF.get(page.expected, KEEP) for page in truth}
    clusters: defaultdict[str, list[str]] = defaultdict(list)
    for page in truth:
        if page.duplicate_cluster is not None:
            clusters[page.duplicate_cluster].append(page.id)
    for members in clusters.values():
        survivors = [id for id in members if _outcome(verdicts.get(id)) == KEEP]
        if survivors:
            expected.update(dict.fromkeys(members, _STAGE_OF["duplicates"]))
            expected[survivors[0]] = KEEP
    return expected


def _stage_score(stage: str, expected: Mapping[str, str], verdicts: Mapping[str, Verdict]) -> StageScore:
    order = {name: place for place, name in enumerate((*JUDGING_STAGES, KEEP))}
    counts: Counter[str] = Counter()
    for id, wanted in expected.items():
        outcome = _outcome(verdicts.get(id))
        if outcome == LOST or order[outcome] < order[stage]:
            continue
        due = order[wanted] <= order[stage]
        if outcome == stage:
            counts["right" if due else "wrong" if wanted == KEEP else "early"] += 1
        elif due:
            counts["missed"] += 1
        counts["reached"] += 1
    return StageScore(stage, *(counts[name] for name in ("reached", "right", "early", "wrong", "missed")))


def _reason_scores(
    truth: Iterable[PageTruth], expected: Mapping[str, str], verdicts: Mapping[str, Verdict]
) -> Iterator[ReasonScore]:
    by_reason: defaultdict[tuple[str, str], list[PageTruth]] = defaultdict(list)
    for page in truth:
        if page.reason is not None and expected[page.id] != KEEP:
            by_reason[_STAGE_OF[page.expected], page.reason].append(page)
    order = {name: place for place, name in enumerate(JUDGING_STAGES)}
    for (stage, reason), pages in sorted(by_reason.items(), key=lambda item: (order[item[0][0]], item[0][1])):
        by_stage = Counter(_outcome(verdicts.get(page.id)) for page in pages)
        given = Counter(name for page in pages if page.id in verdicts for name in verdicts[page.id].reasons)
        ordered = sorted(given.items(), key=lambda item: (-item[1], item[0]))
        counts = tuple(ReasonCount(name, count) for name, count in ordered)
        yield ReasonScore(reason, stage, len(pages), dict(by_stage), counts)


def _mistakes(
    truth: Iterable[PageTruth], expected: Mapping[str, str], verdicts: Mapping[str, Verdict]
) -> Iterator[Mistake]:
    """The first few of each kind of mistake."""
    seen: Counter[tuple[str, str]] = Counter()
    for page in truth:
        verdict, wanted = verdicts.get(page.id), expected[page.id]
        outcome = _outcome(verdict)
        if outcome != LOST and (wanted == KEEP) == (outcome == KEEP):
            continue
        seen[page.kind, outcome] += 1
        if seen[page.kind, outcome] <= 2 and seen.total() <= _MISTAKES:
            yield Mistake(page.id, page.url, page.kind, wanted, outcome, verdict.reasons if verdict else ())


def _clusters(verdicts: Mapping[str, Verdict], finished: list[str]) -> dict[str, str]:
    """The cluster that the pipeline put each document in that reached the last stage, named by the one kept."""
    return {
        id: verdict.duplicate_of or id
        for id, verdict in verdicts.items()
        if verdict.removed_by in (None, "corpus") and "corpus" in finished
    }
