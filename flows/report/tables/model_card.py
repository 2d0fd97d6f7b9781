"""The model card: what the model is, what it was made from, what it is good for. All numbers are the run's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flows.report.tables.evaluation import Evaluation, evaluated_stage
from flows.report.tables.funnel import Funnel
from flows.store.missing import Missing, found
from flows.store.run_record import RunRecord
from flows.store.training_log import Training, stage_summary
from tasks.dataset.store import Store

_FLOP_A_PARAMETER_AND_TOKEN = 6
"""Forward and backward pass of a dense decoder (Kaplan et al. 2020, section 2.1), attention left out."""


@dataclass(frozen=True)
class ModelCard:
    """What a user of the model should know."""

    name: str
    folder: str
    """The model's folder in the store."""
    export: str | None
    """The exported model's folder in the store; None where it is not exported."""
    parameters: int | None
    shape: tuple[tuple[str, str], ...]
    """Sizes, as the recipe gives them."""
    crawl: str
    languages: str
    """Languages that the filter kept."""
    profiles: str
    """Filter profiles that every document passed."""
    is_synthetic_web: bool
    """Whether it was trained on the demo's synthetic web alone."""
    is_finetuned: bool
    documents: int | None
    trained_tokens: int | None
    """Tokens seen in pretraining, repeats included."""
    epochs: float | None
    """How often each training token was seen."""
    flop: float | None
    """Floating-point operations of pretraining, estimated."""


def read_model_card(
    store: Store,
    record: RunRecord,
    funnel: Funnel | Missing,
    pretraining: Training | Missing,
    evaluation: Evaluation | Missing,
) -> ModelCard | Missing:
    """Read the card of the last model that the run trained."""
    stage = evaluated_stage(record)
    summary = stage_summary(store, record, stage)
    if not summary:
        return Missing("No model has been trained to its end.")
    folder = str(summary["model"])
    measured, evaluated, log = found(funnel), found(evaluation), found(pretraining)
    parameters = evaluated.parameters if evaluated else None
    tokens = log.last.tokens if log else None
    packed = measured.packing.tokens if measured and measured.packing else None
    filtering = record.recipe["filter"]
    return ModelCard(
        name=folder.rsplit("/", 1)[-1],
        folder=folder,
        export=stage_summary(store, record, "export").get("folder"),
        parameters=parameters,
        shape=_shape(record.recipe["pretrain"]["shape"]),
        crawl=record.crawl,
        languages=", ".join(filtering["languages"]) or "all",
        profiles=", ".join(filtering["profiles"]) or "none",
        is_synthetic_web=bool(record.recipe.get("synthetic_web")),
        is_finetuned=stage == "sft",
        documents=measured.tokens.documents if measured and measured.tokens else None,
        trained_tokens=tokens,
        epochs=tokens / packed if tokens and packed else None,
        flop=float(_FLOP_A_PARAMETER_AND_TOKEN) * parameters * tokens if parameters and tokens else None,
    )


def _shape(shape: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return sizes as words: `intermediate_size` becomes `intermediate size`."""
    return tuple((name.replace("_", " "), _size(value)) for name, value in shape.items() if value is not None)


def _size(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)
