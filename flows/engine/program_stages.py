"""The stages that are programs of the model half: what each is given, and what is remembered of it.

Notable: the two halves meet only in files. A program gets one JSON config with local paths; what it leaves (a metrics
log, checkpoints, a result) is read back here as plain JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.engine.run import Run, working_folder
from flows.recipe.stage_plan import StagePlan
from tasks.tokenize.tokenizer import tokenizer_path


@dataclass(frozen=True)
class ProgramStage:
    """One stage that starts a program."""

    module: str
    """`python -m` name."""
    is_training: bool
    """Whether accelerate launches it, on as many processes as the settings say."""
    config: Callable[[Run, StagePlan], dict[str, Any]]
    """The JSON config."""
    summary: Callable[[Run, StagePlan], dict[str, Any]]
    """What it left, as values that do not depend on time or machine."""


def model_name(run: Run, stage: str) -> str:
    """The name of the model that a training stage makes: recipe, stage, and enough of the fingerprint."""
    return f"{run.recipe.name}-{stage}-{run.plans[stage].fingerprint[:8]}"


def model_path(run: Run, stage: str) -> str:
    """The model's folder, below the store."""
    return f"models/{model_name(run, stage)}"


def model_folder(run: Run, stage: str) -> Path:
    """The model's folder on this machine's disk."""
    return working_folder(run.store, run.settings) / model_path(run, stage)


def last_trained(run: Run) -> str:
    """The stage whose model is judged and exported."""
    return "sft" if "sft" in run.plans else "pretrain"


def dataset(run: Run, stage: str) -> str:
    """A dataset's folder on this machine's disk; fetched first where the store is elsewhere."""
    return str(_local(run, run.plans[stage].folder))


def tokenizer_file(run: Run) -> str:
    """tokenizer.json on this machine's disk."""
    path = tokenizer_path(run.plans["tokenizer"].fingerprint)
    return str(_local(run, path.rsplit("/", 1)[0]) / "tokenizer.json")


def _local(run: Run, path: str) -> Path:
    folder = working_folder(run.store, run.settings) / path
    if not run.store.is_local:
        run.store.download_folder(path, folder)
    return folder


def _cache(run: Run) -> str:
    return str(working_folder(run.store, run.settings) / "cache")


def _pretrain_config(run: Run, plan: StagePlan) -> dict[str, Any]:
    return plan.job_config | {
        "folder": str(model_folder(run, "pretrain")),
        "tokens": dataset(run, "tokens"),
        "packing": dataset(run, "packing"),
        "cache": _cache(run),
    }


def _sft_config(run: Run, plan: StagePlan) -> dict[str, Any]:
    learning = {name: plan.job_config[name] for name in ("loop", "optimizer", "schedule")}
    return learning | {
        "folder": str(model_folder(run, "sft")),
        "base": str(model_folder(run, "pretrain")),
        "tokenizer": tokenizer_file(run),
        "conversations": str(run.chat["conversations"]),
    }


def _evaluate_config(run: Run, plan: StagePlan) -> dict[str, Any]:
    folder = evaluation_folder(run)
    config = {
        "model": str(model_folder(run, last_trained(run))),
        "result": str(folder / "result.json"),
        "tokens": dataset(run, "tokens"),
        "cache": _cache(run),
        "validation_documents": plan.config["validation_documents"],
        "max_new_tokens": plan.config["max_new_tokens"],
    }
    if "questions" in run.chat:
        config |= {
            "questions": str(run.chat["questions"]),
            "tokenizer": tokenizer_file(run),
            "replies": str(folder / "replies.jsonl"),
        }
    return config


def _export_config(run: Run, plan: StagePlan) -> dict[str, Any]:
    return {
        "model": str(model_folder(run, last_trained(run))),
        "tokenizer": tokenizer_file(run),
        "output": str(model_folder(run, last_trained(run)) / "export"),
        "precision": plan.config["precision"],
        "identity": plan.fingerprint,
    }


def evaluation_folder(run: Run) -> Path:
    """Where the evaluation's result and replies lie."""
    return model_folder(run, last_trained(run)) / f"evaluation-{run.plans['evaluate'].fingerprint[:8]}"


def export_path(run: Run) -> str:
    """Where the exported model lies, below the store."""
    return f"{model_path(run, last_trained(run))}/export"


def _training_summary(stage: str) -> Callable[[Run, StagePlan], dict[str, Any]]:
    def summary(run: Run, plan: StagePlan) -> dict[str, Any]:
        events = [json.loads(line) for line in (model_folder(run, stage) / "metrics.jsonl").read_text().splitlines()]
        of = {
            kind: [event for event in events if event["event"] == kind] for kind in ("step", "eval", "skipped", "done")
        }
        end = of["done"][-1]
        found = {"model": model_path(run, stage), "steps": end["step"], "tokens": end["tokens"]}
        if of["step"]:
            found["last_loss"] = of["step"][-1]["loss"]
        if of["eval"]:
            found |= {"held_out_loss": of["eval"][-1]["loss"], "bits_per_byte": of["eval"][-1].get("bits_per_byte")}
        if of["skipped"]:
            found["skipped_steps"] = len(of["skipped"])
        if "reason" in end:
            found["ended_early"] = end["reason"]
        return found

    return summary


def _evaluate_summary(run: Run, plan: StagePlan) -> dict[str, Any]:
    return dict(json.loads((evaluation_folder(run) / "result.json").read_text()))


def _export_summary(run: Run, plan: StagePlan) -> dict[str, Any]:
    return {"folder": export_path(run)}


PROGRAMS = {
    "pretrain": ProgramStage("model.pretrain", True, _pretrain_config, _training_summary("pretrain")),
    "sft": ProgramStage("model.sft", True, _sft_config, _training_summary("sft")),
    "evaluate": ProgramStage("model.evaluate", False, _evaluate_config, _evaluate_summary),
    "export": ProgramStage("model.export", False, _export_config, _export_summary),
}
