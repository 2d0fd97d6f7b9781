"""The sections of the page, in its order, and the values that they show.

Notable: to add a section, write a reader in `readers/`, a template `templates/sections/<id>.html.j2`, and an entry in
`SECTIONS` and in `VALUES`. Any template may show any value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from markupsafe import Markup

from flows.planning.ladder_result import newest_ladder
from flows.report.readers.card import read_model_card
from flows.report.readers.domains import read_domains
from flows.report.readers.evaluation import read_evaluation
from flows.report.readers.funnel import funnel_discrepancies, read_failed_warcs, read_funnel
from flows.report.readers.page_kinds import read_page_kinds
from flows.report.readers.page_metadata import read_counted, read_page_metadata
from flows.report.readers.quality import read_corpus_checks
from flows.report.readers.reasons import read_distributions
from flows.report.readers.samples import duplicate_pairs, kept_samples, removed_samples, unreadable_samples
from flows.report.readers.signals import read_signals
from flows.report.truth.truth_score import read_truth_score
from flows.store.datasets import count_dataset
from flows.store.missing import attempt
from flows.store.run_record import RunRecord
from flows.store.training_log import read_training, read_trainings
from tasks.dataset.store import Store


@dataclass(frozen=True)
class Section:
    """A section of the page."""

    id: str
    """Its anchor, and the name of its template."""
    title: str
    shown_if: str = ""
    """The value without which the section is left out; "": it is always shown."""


SECTIONS: Final = (
    Section("funnel", "Funnel", shown_if="has_corpus"),
    Section("reasons", "Reasons", shown_if="has_corpus"),
    Section("quality", "Quality and harm", shown_if="checks"),
    Section("page_kinds", "Kinds of pages", shown_if="page_kinds"),
    Section("signals", "Signals", shown_if="has_corpus"),
    Section("domains", "Domains", shown_if="has_corpus"),
    Section("samples", "Samples", shown_if="has_corpus"),
    Section("duplicates", "Duplicates", shown_if="has_corpus"),
    Section("tokens", "Tokens", shown_if="has_corpus"),
    Section("training", "Training"),
    Section("evaluation", "Evaluation"),
    Section("ladder", "Scaling law", shown_if="ladder"),
    Section("truth", "Against the truth", shown_if="has_truth"),
    Section("card", "Model card"),
    Section("run", "The run"),
)

VALUES: Final[Mapping[str, tuple[str, Callable[[Store, RunRecord], Any]]]] = MappingProxyType(
    {
        "funnel": ("The funnel", read_funnel),
        "failed_warcs": ("Failed WARC files", read_failed_warcs),
        "discrepancies": ("The check of the counts", funnel_discrepancies),
        "distributions": ("The distributions", read_distributions),
        "checks": ("The corpus checks", read_corpus_checks),
        "page_kinds": ("The kinds of pages", read_page_kinds),
        "signals": ("The signals", read_signals),
        "domains": ("The domains", read_domains),
        "page_metadata": ("What pages declare", read_page_metadata),
        "counted": ("Other counts", read_counted),
        "kept": ("Kept texts", kept_samples),
        "removed": ("Removed texts", removed_samples),
        "unreadable": ("Unreadable records", unreadable_samples),
        "duplicates": ("Duplicates", duplicate_pairs),
        "trainings": ("The trainings", read_trainings),
        "pretraining": ("Pretraining", lambda store, record: read_training(store, record, "pretrain")),
        "evaluation": ("The evaluation", read_evaluation),
        "ladder": ("The scaling law", lambda store, record: newest_ladder(store, str(record.recipe.get("name")))),
        "has_corpus": ("The corpus", lambda _, record: "extract" in record.stages),
        "has_truth": ("The truth", lambda _, record: bool(record.recipe.get("synthetic_web"))),
        "truth": ("The score against the truth", read_truth_score),
        "card": ("The model card", read_model_card),
        "datasets": ("The run", lambda store, run: {name: count_dataset(store, run, name) for name in run.stages}),
    }
)
"""By the name that templates use: what the page calls it where it cannot be read, and its reader."""


class Report:
    """One run's story. Its attributes are `VALUES`, each read when it is first asked for.

    A value that cannot be read is `Missing`, with the reason; reading never raises.
    """

    def __init__(self, store: Store, record: RunRecord) -> None:
        self._store = store
        self.record = record
        self._drawings: list[tuple[tuple[Any, ...], Markup]] = []

    def __getattr__(self, name: str) -> Any:
        if name not in VALUES:
            raise AttributeError(f"A report has no value called {name!r}.")
        title, read = VALUES[name]
        self.__dict__[name] = attempt(title, read, self._store, self.record)
        return self.__dict__[name]

    def drawn(self, draw: Callable[..., Markup], *values: Any) -> Markup:
        """Return a plot of some of this report's values, which is drawn once for all who show it."""
        for drawn, plot in self._drawings:
            if drawn == (draw, *values):
                return plot
        plot = draw(*values)
        self._drawings.append(((draw, *values), plot))
        return plot

    def shows(self, section: Section) -> bool:
        """Return whether the page of this run has the section."""
        return not section.shown_if or bool(getattr(self, section.shown_if))
