"""Evaluation: `python -m model.evaluate CONFIG.json` (model/base/config.py, EvaluateConfig).

Notable: the same model and data give the same file, byte for byte.

Result: {"parameters", "validation": {"documents", "tokens", "text_bytes", "loss", "bits_per_byte",
"unigram_bits_per_byte"}, "gaps": {"objective", "documents", "tokens", "loss", "unigram_loss"}, "questions": {group:
{"accuracy", "right", "n"}}, "samples": [{"prompt", "text"}], "tasks": [`TaskResult`s], "earlier": [{"stage",
"validation", "questions", "tasks"}]}, as in model/evaluation/results.py. Losses are in nats per token. What was not
asked for, or does not suit the model's objective, is null, as is "validation" for a corpus too small to hold documents
out; samples are written where no questions are asked. Of a model that only transformers loads there are "tasks" alone.
"""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model.base.config import EvaluateConfig
from model.base.config_loading import load_config
from model.base.device import activation_dtype, best_device, use_threads
from model.base.full_disk import written_whole
from model.base.program import EXIT_DONE, run_program
from model.evaluation.earlier_models import ask_earlier_models
from model.evaluation.questions import ask_questions
from model.evaluation.samples import sample_texts
from model.evaluation.subject import Subject
from model.evaluation.task_questions import ask_model_from_elsewhere, ask_tasks
from model.evaluation.tasks.asked_model import is_from_elsewhere
from model.evaluation.validation import score_gaps, score_text
from model.inference.loading import cast_matrices, load_any

TASKS: dict[str, Callable[[Subject], Any]] = {
    "validation": score_text,
    "gaps": score_gaps,
    "questions": ask_questions,
    "samples": sample_texts,
    "tasks": ask_tasks,
    "earlier": ask_earlier_models,
}
"""What is evaluated, by its name in the result. A task returns a dataclass or plain JSON values, or None if it does not
apply; its fields in the config are those of `EvaluateSection` (model/base/config.py)."""


def evaluate(config_path: Path) -> int:
    """Run every evaluation task and return the exit code."""
    config = load_config(config_path, EvaluateConfig)
    use_threads(config.threads)
    device = best_device()
    dtype = activation_dtype(config.precision, device)
    if is_from_elsewhere(config.model):
        result: dict[str, Any] = {"tasks": ask_model_from_elsewhere(config)}
    else:
        model, objective = load_any(config.model, dtype, config.average_checkpoints)
        cast_matrices(model, dtype)
        subject = Subject(config, model.to(device), objective, device)
        result = {"parameters": sum(parameter.numel() for parameter in model.parameters())}
        for name, task in TASKS.items():
            found = task(subject)
            result[name] = dataclasses.asdict(found) if dataclasses.is_dataclass(found) else found  # type: ignore[arg-type]
    with written_whole(config.result) as file:  # one that a kill cut short would be taken for a result
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(run_program(evaluate, sys.argv[1:], "usage: python -m model.evaluate CONFIG.json"))
