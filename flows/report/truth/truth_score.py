"""The demo's score: what the run made of the synthetic web, held against the truth about it.

Notable: the synthetic web is small, so here, and only here, whole datasets are read. A truth about another web, or about
WARC files that the run did not ask for, is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.report.truth.decision_score import DecisionScore, Verdict, score_decisions
from flows.report.truth.duplicate_score import DuplicateScore, score_duplicates
from flows.report.truth.extraction_score import ExtractionScore, score_extraction
from flows.store.judging_stages import JUDGING_STAGES
from flows.store.missing import Missing
from flows.store.run_record import RunRecord
from tasks.dataset.manifest import read_manifest
from tasks.dataset.parts import read_part
from tasks.dataset.store import Store
from tasks.synthetic_web import PageTruth, read_summary, read_truth


@dataclass(frozen=True)
class TruthScore:
    """The whole pipeline against the truth."""

    verdicts: DecisionScore
    extraction: ExtractionScore
    duplicates: DuplicateScore | None
    """None where the corpus is not finished."""


def read_truth_score(store: Store, record: RunRecord) -> TruthScore | Missing:
    """The score of a run on the synthetic web."""
    if not record.recipe.get("synthetic_web"):
        return Missing("The truth is known only about the synthetic web of the demo.")
    folder = synthetic_web_folder(store, record)
    if read_summary(folder).config.model_dump(mode="json") != record.recipe["synthetic_web"]:
        return Missing(f"The synthetic web in {folder} is another one than this run crawled.")
    finished = [stage for stage in JUDGING_STAGES if read_manifest(store, stage, record.stages[stage].plan.fingerprint)]
    if "extract" not in finished:
        return Missing("The extraction is not finished, so there is nothing to hold against the truth yet.")
    verdicts = _verdicts(store, record, finished)
    clipped = record.stages["fetch"].plan.config.get("bytes_per_warc") is not None
    truth = _crawled(list(read_truth(folder)), verdicts, clipped)
    return TruthScore(
        verdicts=score_decisions(truth, verdicts, finished),
        extraction=score_extraction(store, record, truth),
        duplicates=score_duplicates(truth, _clusters(verdicts)) if "corpus" in finished else None,
    )


def synthetic_web_folder(store: Store, record: RunRecord) -> Path:
    """Where the run's synthetic web lies: in a local store, else in the local scratch folder."""
    root = store.local("") if store.is_local else Path(str(record.settings["scratch"])).resolve()
    return root / "synthetic_web"


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


def _clusters(verdicts: Mapping[str, Verdict]) -> dict[str, str]:
    """The cluster that the pipeline put each document in that reached the last stage, named by the one kept."""
    return {
        id: verdict.duplicate_of or id for id, verdict in verdicts.items() if verdict.removed_by in (None, "corpus")
    }
