"""Everything that the page shows, gathered from the store and the run's record before a line of it is written."""

from __future__ import annotations

from dataclasses import dataclass

from flows.planning.ladder_result import LadderResult, newest_ladder
from flows.report.tables.corpus_checks import CorpusChecks, read_corpus_checks
from flows.report.tables.distributions import Distributions, read_distributions
from flows.report.tables.domains import Domains, read_domains
from flows.report.tables.evaluation import Evaluation, read_evaluation
from flows.report.tables.funnel import Funnel, funnel_discrepancies, read_funnel
from flows.report.tables.model_card import ModelCard, read_model_card
from flows.report.tables.page_metadata import Counted, DeclaredMetadata, read_counted, read_page_metadata
from flows.report.tables.run_facts import RunFacts, read_run_facts
from flows.report.tables.samples import (
    DuplicatePair,
    RecordSample,
    RemovedFor,
    TextSample,
    duplicate_pairs,
    kept_samples,
    removed_samples,
    unreadable_samples,
)
from flows.report.tables.signals import StageSignals, read_signals
from flows.report.truth.truth_score import TruthScore, read_truth_score
from flows.store.datasets import count_dataset
from flows.store.failed_warcs import FailedWarc, failed_warcs
from flows.store.missing import Missing, attempt
from flows.store.run_record import RunRecord
from flows.store.training_log import Training, read_training
from tasks.dataset.store import Store

_TROUBLED_WARCS = 50


@dataclass(frozen=True)
class Report:
    """One run's story; what could not be read is `Missing`, with the reason."""

    run: RunFacts | Missing
    funnel: Funnel | Missing
    troubled: tuple[FailedWarc, ...] | Missing
    """WARC files that could not be had, or are damaged at the source; the first of them."""
    discrepancies: list[str] | Missing
    distributions: Distributions | Missing
    signals: tuple[StageSignals, ...] | Missing
    domains: Domains | Missing
    declarations: tuple[DeclaredMetadata, ...] | Missing
    judges: CorpusChecks | Missing
    """Personal data, harm and classifiers."""
    counted: tuple[Counted, ...] | Missing
    """What judges counted beside their verdicts."""
    kept: tuple[TextSample, ...] | Missing
    removed: tuple[RemovedFor, ...] | Missing
    unreadable: dict[str, list[RecordSample]] | Missing
    """Records that the extraction removed, by reason."""
    duplicates: tuple[DuplicatePair, ...] | Missing
    pretraining: Training | Missing
    finetuning: Training | Missing
    ladder: LadderResult | Missing | None
    """The scaling law of the recipe; None where none was measured."""
    evaluation: Evaluation | Missing
    truth: TruthScore | Missing
    card: ModelCard | Missing
    has_truth: bool
    """Whether the run crawled the synthetic web, about which all is known."""


def gather(store: Store, record: RunRecord) -> Report:
    """Read everything; never raises for what is missing or damaged."""
    funnel = attempt("The funnel", lambda: read_funnel(store, record))
    pretraining = attempt("Pretraining", lambda: read_training(store, record, "pretrain"))
    evaluation = attempt("The evaluation", lambda: read_evaluation(store, record))
    return Report(
        run=attempt("The run", lambda: read_run_facts(store, record)),
        funnel=funnel,
        troubled=attempt("WARC files in trouble", lambda: _failed(store, record)),
        discrepancies=attempt("The check of the counts", lambda: funnel_discrepancies(store, record)),
        distributions=attempt("The distributions", lambda: read_distributions(store, record)),
        signals=attempt("The signals", lambda: read_signals(store, record)),
        domains=attempt("The domains", lambda: read_domains(store, record)),
        declarations=attempt("What pages declare", lambda: read_page_metadata(store, record)),
        judges=attempt("Other judges of the corpus", lambda: read_corpus_checks(store, record)),
        counted=attempt("Other counts", lambda: read_counted(store, record)),
        kept=attempt("Kept texts", lambda: kept_samples(store, record)),
        removed=attempt("Removed texts", lambda: removed_samples(store, record)),
        unreadable=attempt("Unreadable records", lambda: unreadable_samples(store, record)),
        duplicates=attempt("Duplicates", lambda: duplicate_pairs(store, record)),
        pretraining=pretraining,
        finetuning=attempt("Finetuning", lambda: read_training(store, record, "sft")),
        ladder=attempt("The scaling law", lambda: newest_ladder(store, str(record.recipe.get("name")))),
        evaluation=evaluation,
        truth=attempt("The score against the truth", lambda: read_truth_score(store, record)),
        card=attempt("The model card", lambda: read_model_card(store, record, funnel, pretraining, evaluation)),
        has_truth=bool(record.recipe.get("synthetic_web")),
    )


def _failed(store: Store, record: RunRecord) -> tuple[FailedWarc, ...]:
    fetched = count_dataset(store, record, "fetch")
    parts = ((part.name, part.counters) for part in fetched.parts) if fetched else ()
    return failed_warcs(store, "fetch", record.stages["fetch"].plan.fingerprint, parts, _TROUBLED_WARCS)
