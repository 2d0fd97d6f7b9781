"""What a run came to, as artifacts in Prefect's UI: the funnel and the reasons as tables, plots of losses and signals,
texts that were kept and removed, and where the report is.

Notable:
- The texts come from strangers, and the UI renders Markdown. They stand in fenced code, which has no links, no images
  and no HTML.
- Plots are Markdown too: under an artifact of an image the UI prints its whole address, here the plot itself.
"""

import re
from collections.abc import Iterator
from typing import TypeVar

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.monitoring.artifact_key import artifact_key
from flows.report.image_url import image_url
from flows.report.plots import loss_plot, signals_plot
from flows.report.readers.funnel import Funnel
from flows.report.readers.samples import RemovedFor, TextSample
from flows.report.sections import Report
from flows.store.missing import Missing
from flows.store.training_log import Training
from model.base.safe_text import harmless
from tasks.dataset.store import Store

T = TypeVar("T")

_PANELS = 12
_REASONS = 8
_CHARACTERS = 400


def publish_outcome(store: Store, report: Report) -> None:
    """Make the artifacts of a run that is over. Must be called inside its flow."""
    record = report.record
    where = f"`{store.location(record.report)}`, {record.state}"
    create_markdown_artifact(where, artifact_key("report", record), "The run's report: one HTML page.")
    funnel = report.funnel
    if not isinstance(funnel, Missing) and funnel.stages:
        stages, reasons = artifact_key("funnel", record), artifact_key("reasons", record)
        create_table_artifact(_stages(funnel), stages, f"Records of {record.crawl} by stage.")
        create_table_artifact(_reasons(funnel), reasons, f"Why records of {record.crawl} were removed.")
    for what, words, url in _plots(report):
        create_markdown_artifact(f"![{what}]({url})", artifact_key(what, record), words)
    if texts := samples_in_markdown(_there(report.kept), _there(report.removed)):
        create_markdown_artifact(texts, artifact_key("samples", record), "Texts that were kept, and that were removed.")


def _stages(funnel: Funnel) -> list[dict[str, str | int]]:
    rows: list[dict[str, str | int]] = [
        {"stage": stage.stage, "read": stage.read, "kept": stage.kept, "removed": stage.removed}
        for stage in funnel.stages
    ]
    if tokens := funnel.tokens:
        rows.append({"stage": "tokens", "read": tokens.documents, "kept": tokens.documents, "tokens": tokens.tokens})
    return rows


def _reasons(funnel: Funnel) -> list[dict[str, str | int]]:
    return [
        {"stage": stage.stage, "reason": reason.reason, "records": reason.count}
        for stage in funnel.stages
        for reason in stage.reasons
    ]


def _plots(report: Report) -> Iterator[tuple[str, str, str]]:
    """Yield what each plot shows, a caption, and its image."""
    for training in report.trainings.values():
        if isinstance(training, Training):
            yield (
                f"loss-{training.stage}",
                f"{training.stage}: {training.note}",
                image_url(report.drawn(loss_plot, training)),
            )
    for stage in _there(report.signals):
        if histograms := stage.histograms[:_PANELS]:
            words = f"Signals of {stage.documents:,} decisions of {stage.stage}; shaded: where a rule removes."
            plot = report.drawn(signals_plot, f"{stage.stage}-0", histograms)  # as the page draws it
            yield f"signals-{stage.stage}", words, image_url(plot)


def samples_in_markdown(kept: tuple[TextSample, ...], removed: tuple[RemovedFor, ...]) -> str:
    """Return texts as Markdown in which they do no harm; "" where there is none."""
    parts = ["## Kept", *(_fenced(sample) for sample in kept)] if kept else []
    for reason in removed[:_REASONS]:
        sample = reason.samples[0]
        parts.append(f"## Removed by {reason.stage}\n\n{_fenced(sample.document, '; '.join(sample.failures))}")
    return "\n\n".join(parts)


def _fenced(sample: TextSample, why: str = "") -> str:
    """Return a text with its address in a block that nothing in it can end."""
    beginning = sample.text[:_CHARACTERS] + ("…" if sample.characters > _CHARACTERS else "")
    text = harmless("\n".join(filter(None, [why, sample.url, "", beginning])))
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def _there(found: tuple[T, ...] | Missing) -> tuple[T, ...]:
    return () if isinstance(found, Missing) else found
