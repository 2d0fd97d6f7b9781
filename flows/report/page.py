"""The report as one HTML file that needs nothing else: no script, no font, no image from anywhere.

Notable: the texts and addresses in it come from strangers. Everything is escaped by the template engine, control
characters are taken out, addresses are shown and never linked, and the page's own policy forbids it to load or run
anything.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from flows.display import numbers
from flows.display.safe_text import harmless_value
from flows.report.ladder_plot import ladder_plot
from flows.report.plots import curves_plot, length_plot, loss_plot, signals_plot
from flows.report.reason_sentences import reason_sentence
from flows.report.results import stage_values
from flows.report.sections import SECTIONS, Report
from flows.store.deciding_stages import outcome_words
from flows.store.missing import Missing, attempt
from flows.store.run_record import RunRecord
from flows.store.training_log import CURVES, TRAINING_NAMES
from tasks.dataset.store import Store

_TEMPLATES = Path(__file__).parent / "templates"
_FILTERS = (numbers.grouped, numbers.short, numbers.share, numbers.decimal, numbers.size, numbers.duration)
_PLOTS: dict[str, Callable[..., Markup]] = {
    "losses": loss_plot,
    "measured curves": curves_plot,
    "lengths": length_plot,
    "signals": signals_plot,
    "scaling law": ladder_plot,
}


def write_report(store: Store, record: RunRecord, report: Report | None = None) -> str:
    """Write the report of a run to the store; return its path there, `reports/<run>.html`.

    `report` is one whose values somebody else shows as well, so that they are read once.
    """
    store.write_bytes(record.report, render(report or Report(store, record)).encode())
    return record.report


def environment(drawn: Callable[..., Markup]) -> Environment:
    """Return the engine of the templates, with what all pages use; `drawn` is `Report.drawn` of one that is shown."""
    found = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=harmless_value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update({function.__name__: function for function in _FILTERS})
    found.filters["yaml"] = partial(yaml.safe_dump, sort_keys=False, allow_unicode=True, width=100)
    found.tests["missing"] = lambda value: isinstance(value, Missing)
    # A plot that cannot be drawn is `Missing`, as a value that cannot be read is.
    for name, draw in _PLOTS.items():
        found.globals[draw.__name__] = partial(attempt, f"The plot of the {name}", drawn, draw)
    return found


def render(report: Report) -> str:
    """Return the page as HTML."""
    own = environment(report.drawn)
    own.globals["outcome_words"] = outcome_words
    own.globals |= {"training_names": TRAINING_NAMES, "training_curves": CURVES}
    own.globals["reason_sentence"] = reason_sentence
    own.globals["stage_values"] = stage_values
    return own.get_template("report.html.j2").render(report=report, sections=SECTIONS)
