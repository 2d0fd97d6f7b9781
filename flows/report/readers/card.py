"""What the model is and what it was made from, for the model card; its template adds the numbers of other tables."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from flows.report.readers.evaluation import evaluated_stage
from flows.store.missing import Missing
from flows.store.run_record import RunRecord
from flows.store.training_log import stage_summary
from model.inference.transformers_config import shape_of
from tasks.base.plain_data import parse_json
from tasks.dataset.store import Store


def read_model_card(store: Store, record: RunRecord) -> dict[str, Any] | Missing:
    """Return where the last model of the run is, its sizes as the recipe gives them, and what the filter kept."""
    stage = evaluated_stage(record)
    summary = stage_summary(store, record, stage)
    if not summary:
        return Missing("No model has been trained to its end.")
    folder, filtering = str(summary["model"]), record.recipe["filter"]
    shape = _shape(store, record)
    return {
        "name": folder.rsplit("/", 1)[-1],
        "folder": folder,
        "family": _family(shape),
        "base": _base(record.recipe),
        "export": stage_summary(store, record, "export").get("folder"),
        "shape": {name.replace("_", " "): _size(value) for name, value in shape.items() if value is not None},
        "languages": ", ".join(filtering["languages"]) or "all",
        "profiles": ", ".join(filtering["profiles"]) or "none",
        "is_finetuned": stage != "pretrain",
    }


def _shape(store: Store, record: RunRecord) -> dict[str, Any]:
    """Return the sizes that the recipe gives, or where another's model was finetuned those of the export."""
    if pretrain := record.recipe["pretrain"]:
        return dict(pretrain["shape"])
    folder = str(stage_summary(store, record, "export")["folder"])
    return asdict(shape_of(parse_json(store.read_bytes(f"{folder}/config.json")), Path(folder)))


def _base(recipe: dict[str, Any]) -> str:
    """Return the name of another's model that training began with; "" where there is none."""
    pretrain, sft = recipe["pretrain"] or {}, recipe["sft"] or {}
    return Path(pretrain.get("init") or sft.get("base") or "").name


def _family(shape: dict[str, Any]) -> str:
    if shape.get("head_norms", True):
        return "Qwen3"
    return "Qwen2" if shape.get("attention_bias") == "qkv" else "Llama"


def _size(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)
