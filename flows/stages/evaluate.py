"""evaluate: the finished model's bits per byte on held-out documents, its answers to questions, evaluation tasks."""

import json
from pathlib import Path
from typing import Any

from flows.stages.contaminated_items import contaminated_items
from flows.stages.program import ProgramContext, ProgramStage
from flows.stages.search_index import search_index
from flows.stages.trained_models import newest_model
from tasks.dataset.stage import Upstream


def evaluation_folder(context: ProgramContext) -> Path:
    """Return where the evaluation's result and replies lie."""
    return context.model_folder(context.trained) / f"evaluation-{context.plan.fingerprint[:8]}"


def _program_config(context: ProgramContext) -> dict[str, Any]:
    folder = evaluation_folder(context)
    config = context.plan.job_config | {
        "model": str(context.model_folder(context.trained)),
        "result": str(folder / "result.json"),
        "tokens": context.dataset("tokens"),
        "cache": str(context.cache),
        "tokenizer": context.tokenizer_file(),
        "base": str(context.model_folder("pretrain")),
    }
    if "search" in config["tools"]:
        index = search_index(context.store, context.folder, context.plans["corpus"].fingerprint, print)
        config["tools"] = [f"search={index}" if tool == "search" else tool for tool in config["tools"]]
    if "questions" in context.chat:
        config |= {
            "questions": str(context.chat["questions"]),
            "replies": str(folder / "replies.jsonl"),
        }
    if tasks := [str(path) for name, path in context.chat.items() if name.startswith("tasks.")]:
        config |= {"tasks": tasks, "items": str(folder / "items.parquet")}
        if context.plans["corpus"].config.get("contamination"):
            found = contaminated_items(context.store, context.plans["corpus"].fingerprint)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "contaminated.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
            config["contaminated"] = str(folder / "contaminated.json")
    return config


STAGE = ProgramStage(
    name="evaluate",
    version=4,
    upstream=(
        Upstream("tokens", all_parts=True),
        Upstream("tokenizer"),
        Upstream("pretrain"),
        *newest_model("evaluate"),
    ),
    config_of=lambda recipe: recipe.evaluate if recipe.pretrain else None,
    module="model.evaluate",
    program_config=_program_config,
    summary=lambda context: dict(json.loads((evaluation_folder(context) / "result.json").read_text())),
)
