"""The sections of the page, in its order, and what each of them shows.

Notable: to add a section, write a reader in `tables/`, a template `templates/sections/<id>.html.j2`, and an entry in
`SECTIONS`. A value belongs to the first section that shows it; any template may show it too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flows.planning.ladder_result import newest_ladder
from flows.report.tables.corpus_checks import read_corpus_checks
from flows.report.tables.distributions import read_distributions
from flows.report.tables.domains import read_domains
from flows.report.tables.evaluation import read_evaluation
from flows.report.tables.funnel import funnel_discrepancies, read_failed_warcs, read_funnel
from flows.report.tables.model_card import read_model_card
from flows.report.tables.page_metadata import read_counted, read_page_metadata
from flows.report.tables.run_facts import read_run_facts
from flows.report.tables.samples import duplicate_pairs, kept_samples, removed_samples, unreadable_samples
from flows.report.tables.signals import read_signals
from flows.report.truth.truth_score import read_truth_score
from flows.store.missing import attempt
from flows.store.run_record import RunRecord
from flows.store.training_log import read_training
from tasks.dataset.store import Store


@dataclass(frozen=True)
class Value:
    """Something to show that is read from the store and the run's record."""

    name: str
    """What templates call it."""
    title: str
    """What the page calls it where it cannot be read."""
    read: Callable[..., Any]
    """Reads it, given the store, the record and the values it needs."""
    needs: tuple[str, ...] = ()
    """Names of other values."""


@dataclass(frozen=True)
class Section:
    """A section of the page."""

    id: str
    """Its anchor, and the name of its template."""
    title: str
    values: tuple[Value, ...] = ()
    shown_if: str = ""
    """The value without which the section is left out; "": it is always shown."""

    def is_shown(self, report: Report) -> bool:
        """Return whether the report of this run has the section."""
        return not self.shown_if or bool(getattr(report, self.shown_if))


SECTIONS = (
    Section(
        "funnel",
        "Funnel",
        (
            Value("funnel", "The funnel", read_funnel),
            Value("failed_warcs", "Failed WARC files", read_failed_warcs),
            Value("discrepancies", "The check of the counts", funnel_discrepancies),
        ),
    ),
    Section("reasons", "Reasons", (Value("distributions", "The distributions", read_distributions),)),
    Section("quality", "Quality and harm", (Value("checks", "The corpus checks", read_corpus_checks),), "checks"),
    Section("signals", "Signals", (Value("signals", "The signals", read_signals),)),
    Section(
        "domains",
        "Domains",
        (
            Value("domains", "The domains", read_domains),
            Value("page_metadata", "What pages declare", read_page_metadata),
            Value("counted", "Other counts", read_counted),
        ),
    ),
    Section(
        "samples",
        "Samples",
        (
            Value("kept", "Kept texts", kept_samples),
            Value("removed", "Removed texts", removed_samples),
            Value("unreadable", "Unreadable records", unreadable_samples),
        ),
    ),
    Section("duplicates", "Duplicates", (Value("duplicates", "Duplicates", duplicate_pairs),)),
    Section("tokens", "Tokens"),
    Section(
        "training",
        "Training",
        (
            Value("pretraining", "Pretraining", lambda store, record: read_training(store, record, "pretrain")),
            Value("finetuning", "Finetuning", lambda store, record: read_training(store, record, "sft")),
        ),
    ),
    Section("evaluation", "Evaluation", (Value("evaluation", "The evaluation", read_evaluation),)),
    Section(
        "ladder",
        "Scaling law",
        (
            Value(
                "ladder",
                "The scaling law",
                lambda store, record: newest_ladder(store, str(record.recipe.get("name"))),
            ),
        ),
        "ladder",
    ),
    Section(
        "truth",
        "Against the truth",
        (
            Value("has_truth", "The truth", lambda store, record: bool(record.recipe.get("synthetic_web"))),
            Value("truth", "The score against the truth", read_truth_score),
        ),
        "has_truth",
    ),
    Section(
        "card",
        "Model card",
        (Value("card", "The model card", read_model_card, ("funnel", "pretraining", "evaluation")),),
    ),
    Section("run", "The run", (Value("run", "The run", read_run_facts),)),
)

_VALUES = {value.name: value for section in SECTIONS for value in section.values}


class Report:
    """One run's story. Its attributes are the values of `SECTIONS`, each read when it is first asked for.

    A value that cannot be read is `Missing`, with the reason; reading never raises.
    """

    def __init__(self, store: Store, record: RunRecord) -> None:
        self._store = store
        self._record = record

    def __getattr__(self, name: str) -> Any:
        value = _VALUES.get(name)
        if value is None:
            raise AttributeError(f"A report has no value called {name!r}.")
        needed = [getattr(self, other) for other in value.needs]
        self.__dict__[name] = attempt(value.title, lambda: value.read(self._store, self._record, *needed))
        return self.__dict__[name]
