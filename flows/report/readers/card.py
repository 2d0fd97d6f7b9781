"""What the model is and what it was made from, for the model card; its template adds the numbers of other tables."""

from typing import Any

from flows.report.readers.evaluation import evaluated_stage
from flows.store.missing import Missing
from flows.store.run_record import RunRecord
from flows.store.training_log import stage_summary
from tasks.dataset.store import Store


def read_model_card(store: Store, record: RunRecord) -> dict[str, Any] | Missing:
    """Return where the last model of the run is, its sizes as the recipe gives them, and what the filter kept."""
    stage = evaluated_stage(record)
    summary = stage_summary(store, record, stage)
    if not summary:
        return Missing("No model has been trained to its end.")
    folder, filtering = str(summary["model"]), record.recipe["filter"]
    shape = record.recipe["pretrain"]["shape"]
    return {
        "name": folder.rsplit("/", 1)[-1],
        "folder": folder,
        "family": _family(shape),
        "export": stage_summary(store, record, "export").get("folder"),
        "shape": {name.replace("_", " "): _size(value) for name, value in shape.items() if value is not None},
        "languages": ", ".join(filtering["languages"]) or "all",
        "profiles": ", ".join(filtering["profiles"]) or "none",
        "is_finetuned": stage != "pretrain",
    }


def _family(shape: dict[str, Any]) -> str:
    if shape.get("head_norms", True):
        return "Qwen3"
    return "Qwen2" if shape.get("attention_bias") == "qkv" else "Llama"


def _size(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)
