"""The evaluation task that asks the tasks of the config, written as YAML (model/evaluation/tasks)."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.base.config import EvaluateConfig
from model.base.config_loading import json_object
from model.base.device import activation_dtype, best_device
from model.base.errors import BadInput
from model.data.chat_format import load_chat_format
from model.evaluation.subject import Subject
from model.evaluation.tasks.asked_model import AskedModel, OwnModel, TransformersModel
from model.evaluation.tasks.running import Asking, run_tasks
from model.inference.loading import require_decoder


def ask_tasks(subject: Subject) -> list[dict[str, Any]] | None:
    """Ask the config's tasks; gives `TaskResult`s as plain values, or None without tasks."""
    config = subject.config
    if not config.tasks:
        return None
    model = require_decoder(config.model, subject.model, subject.objective)
    tokenizer = config.tokenizer or config.model / "tokenizer.json"
    return _asked(config, OwnModel(model, load_chat_format(tokenizer), config.batch))


def ask_model_from_elsewhere(config: EvaluateConfig) -> list[dict[str, Any]]:
    """Ask the config's tasks of a model that only transformers loads."""
    dtype = activation_dtype(config.precision, best_device())
    return _asked(config, TransformersModel(config.model, dtype, config.batch))


def _asked(config: EvaluateConfig, model: AskedModel) -> list[dict[str, Any]]:
    contaminated = _contaminated(config.contaminated) if config.contaminated else frozenset()
    asking = Asking(config.tasks, config.shots, config.task_items, config.task_seed, config.batch, contaminated)
    return [asdict(result) for result in run_tasks(model, asking, config.items)]


def _contaminated(path: Path) -> frozenset[str]:
    try:
        return frozenset(json_object(path))
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read the contaminated items in {path}: {error}") from error
