"""The demo's score: what the run made of the synthetic web against the truth about it.

Notable: the synthetic web is small, so here, and only here, whole datasets are read. The truth about WARC files that
the run did not ask for is left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flows.report.truth.decision_score import DecisionScore, Outcome, score_decisions
from flows.report.truth.duplicate_score import DuplicateScore, score_duplicates
from flows.report.truth.extraction_score import ExtractionScore, score_extraction
from flows.store.datasets import rows_of_parts, stage_decisions
from flows.store.deciding_stages import deciding_stages, plans_of
from flows.store.missing import Missing
from flows.store.run_record import RunRecord
from flows.store.working_folder import synthetic_web_folder
from tasks.dataset.manifest import read_manifest
from tasks.dataset.store import Store
from tasks.synthetic_web.generation import read_summary
from tasks.synthetic_web.truth import PageTruth, read_truth


@dataclass(frozen=True)
class TruthScore:
    """The whole pipeline against the truth."""

    decisions: DecisionScore
    extraction: ExtractionScore
    duplicates: DuplicateScore | None
    """None where the corpus is not finished."""


def read_truth_score(store: Store, record: RunRecord) -> TruthScore | Missing:
    """Read the score of a run on the synthetic web."""
    if not record.recipe.get("synthetic_web"):
        return Missing("The truth is known only about the synthetic web of the demo.")
    folder = synthetic_web_folder(store, record.scratch)
    if read_summary(folder).config.model_dump(mode="json") != record.recipe["synthetic_web"]:
        return Missing(f"The synthetic web in {folder} is not the one that this run crawled.")
    plans = plans_of(record)
    finished = [one for one in deciding_stages(plans) if read_manifest(store, one, plans[one].fingerprint)]
    if "extract" not in finished:
        return Missing("The extraction is not finished, so there is nothing to compare with the truth yet.")
    outcomes = _outcomes(store, record, finished)
    clipped = record.stages["fetch"].plan.config.get("bytes_per_warc") is not None
    truth = _crawled(read_truth(folder), outcomes, clipped)
    # A cluster among those that reached the last stage is named by the document kept.
    reached = {id: one for id, one in outcomes.items() if one.removed_by in (None, "corpus")}
    clusters = {id: one.duplicate_of or id for id, one in reached.items()}
    return TruthScore(
        decisions=score_decisions(truth, outcomes, finished),
        extraction=score_extraction(store, record, truth),
        duplicates=score_duplicates(truth, clusters) if "corpus" in finished else None,
    )


def _outcomes(store: Store, record: RunRecord, finished: Iterable[str]) -> dict[str, Outcome]:
    """Read what became of each record from the decisions of the finished stages."""
    outcomes: dict[str, Outcome] = {}
    for stage in finished:
        columns = ["id", "kept", "reasons", *(["duplicate_of"] if stage == "corpus" else [])]
        for row in rows_of_parts(store, stage_decisions(record, stage), columns):
            removed_by = None if row["kept"] else stage
            outcomes[row["id"]] = Outcome(removed_by, tuple(row["reasons"]), row.get("duplicate_of"))
    return outcomes


def _crawled(truth: Iterable[PageTruth], outcomes: Mapping[str, Outcome], clipped: bool) -> list[PageTruth]:
    """Return the truth about the records that the run set out to read."""
    warcs = set() if clipped else {id.rpartition(":")[0] for id in outcomes}
    return [page for page in truth if page.id in outcomes or page.id.rpartition(":")[0] in warcs]
