"""evaluate: the finished model's bits per byte on held-out documents, its answers to questions, evaluation tasks."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flows.evaluated_corpus.contaminated_items import contaminated_items
from flows.evaluated_corpus.held_out_pages import held_out_pages
from flows.stages.program import ProgramContext, ProgramStage
from flows.stages.search_index import search_index
from flows.stages.trained_models import HELD_OUT, TRAINING, compared_models
from model.evaluation.tasks.cloze import CLOZE, write_cloze
from tasks.dataset.stage import Upstream

_GROUPS = "held_out.parquet"
_CLOZE_PAGES = 400
"""Held-out pages, the first ones, of which a cloze task is made."""


def evaluation_folder(context: ProgramContext) -> Path:
    """Return where the evaluation's result and replies lie."""
    return context.model_folder(context.trained) / f"evaluation-{context.plan.fingerprint[:8]}"


def _program_config(context: ProgramContext) -> dict[str, Any]:
    folder = evaluation_folder(context)
    config = context.plan.job_config | {
        "model": str(context.model_folder(context.trained)),
        "result": str(folder / "result.json"),
        "tokens": context.held_out_tokens,
        "cache": str(context.cache),
        "tokenizer": context.tokenizer_file(),
        "earlier": [
            {"stage": stage, "model": str(context.model_folder(stage))}
            for stage in TRAINING
            if stage in context.plan.upstream and stage != context.trained
        ],
    }
    if "search" in config["tools"]:
        index = search_index(context.store, context.folder, context.plans["corpus"].fingerprint, print)
        config["tools"] = [f"search={index}" if tool == "search" else tool for tool in config["tools"]]
    if "questions" in context.chat:
        config |= {
            "questions": str(context.chat["questions"]),
            "replies": str(folder / "replies.jsonl"),
        }
    folder.mkdir(parents=True, exist_ok=True)
    texts = []
    if config["tokens"]:
        texts = _write_groups(context, folder)
        config["groups"] = str(folder / _GROUPS)
    return config | _asked_tasks(context, folder, config["tasks"], texts)


def _write_groups(context: ProgramContext, folder: Path) -> list[str]:
    """Write the domain and language of each held-out document; return the texts of the first ones."""
    columns: dict[str, list[str | None]] = {"domain": [], "language": []}
    texts = []
    for number, page in enumerate(held_out_pages(context.store, context.plans)):
        columns["domain"].append(page.domain)
        columns["language"].append(page.language)
        if number < _CLOZE_PAGES:
            texts.append(page.text)
    schema = pa.schema([(kind, pa.string()) for kind in columns])
    pq.write_table(pa.table(columns, schema=schema), folder / _GROUPS)
    return texts


def _asked_tasks(context: ProgramContext, folder: Path, names: Sequence[str], texts: list[str]) -> dict[str, Any]:
    """Return the fields of the evaluation tasks; `names` are digests of those in `context.chat`, and `cloze`."""
    cloze = write_cloze(texts, folder) if CLOZE in names else None
    paths = [cloze if name == CLOZE else context.chat[f"tasks.{place}"] for place, name in enumerate(names)]
    fields: dict[str, Any] = {"tasks": [str(path) for path in paths if path], "items": str(folder / "items.parquet")}
    if names and "corpus" in context.plans and context.plans["corpus"].config.get("contamination"):
        found = contaminated_items(context.store, context.plans["corpus"].fingerprint)
        (folder / "contaminated.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        fields["contaminated"] = str(folder / "contaminated.json")
    return fields


STAGE = ProgramStage(
    name="evaluate",
    version=6,
    upstream=(
        HELD_OUT,
        Upstream("tokenizer"),
        *compared_models(),
    ),
    config_of=lambda recipe: recipe.evaluate if recipe.pretrain or recipe.sft else None,
    module="model.evaluate",
    program_config=_program_config,
    summary=lambda context: dict(json.loads((evaluation_folder(context) / "result.json").read_text())),
)
