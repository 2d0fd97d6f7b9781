"""The report as one HTML file that needs nothing else: no script, no font, no image from anywhere.

Notable: the texts and addresses in it come from strangers. Everything is escaped by the template engine, control
characters are taken out, addresses are shown and never linked, and the page's own policy forbids it to load or run
anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from flows.display import numbers
from flows.display.safe_text import harmless_value
from flows.report.gather import Report, gather
from flows.report.ladder_plot import ladder_plot
from flows.report.plots import length_plot, loss_plot, signals_plot
from flows.report.tables.signals import SignalHistogram
from flows.store.missing import Missing, attempt
from flows.store.run_record import RunRecord
from flows.store.training_log import Training
from tasks.dataset.store import Store

_SIGNALS_FIRST = 12
_TEMPLATES = Path(__file__).parent / "templates"


def write_report(store: Store, record: RunRecord) -> str:
    """Write the report of a run to the store; returns its path there, `reports/<run>.html`."""
    path = f"reports/{record.run}.html"
    store.write_bytes(path, render(gather(store, record)).encode())
    return path


def render(report: Report) -> str:
    """The page as HTML."""
    plots = {
        "pretraining": _loss_plot(report.pretraining),
        "finetuning": _loss_plot(report.finetuning),
        "ladder": _ladder_plot(report),
        "lengths": _length_plot(report),
        "signals": _signal_plots(report),
    }
    return _environment().get_template("report.html.j2").render(report=report, plots=plots)


def _loss_plot(training: Training | Missing) -> Markup | Missing:
    if isinstance(training, Missing):
        return training
    return attempt("The plot of the losses", lambda: loss_plot(training))


def _ladder_plot(report: Report) -> Markup | Missing | None:
    ladder = report.ladder
    if ladder is None or isinstance(ladder, Missing):
        return ladder
    return attempt("The plot of the scaling law", lambda: ladder_plot(ladder))


def _length_plot(report: Report) -> Markup | Missing:
    distributions = report.distributions
    if isinstance(distributions, Missing):
        return distributions
    return attempt("The plot of the lengths", lambda: length_plot(distributions))


def _signal_plots(report: Report) -> dict[str, list[Markup | Missing]]:
    """For each stage, a plot of the signals by which most documents fail, and one of the others."""
    plots: dict[str, list[Markup | Missing]] = {}
    for stage in () if isinstance(report.signals, Missing) else report.signals:
        halves = stage.histograms[:_SIGNALS_FIRST], stage.histograms[_SIGNALS_FIRST:]
        plots[stage.stage] = [_signal_plot(f"{stage.stage}-{place}", half) for place, half in enumerate(halves) if half]
    return plots


def _signal_plot(name: str, histograms: Sequence[SignalHistogram]) -> Markup | Missing:
    return attempt("The plot of the signals", lambda: signals_plot(name, histograms))


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=harmless_value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {
            "grouped": numbers.grouped,
            "short": numbers.short,
            "share": numbers.share,
            "decimal": numbers.decimal,
            "size": numbers.size,
            "duration": numbers.duration,
        }
    )
    environment.tests["missing"] = lambda value: isinstance(value, Missing)
    return environment
