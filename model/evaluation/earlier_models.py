"""The evaluation task that asks the models that this one was made from, so that each training stage has its numbers."""

from dataclasses import asdict, replace
from typing import Any

from model.base.config import EarlierModel
from model.base.device import activation_dtype
from model.evaluation.questions import ask_questions
from model.evaluation.subject import Subject
from model.evaluation.task_questions import ask_tasks
from model.evaluation.validation import score_text
from model.inference.loading import cast_matrices, load_any


def ask_earlier_models(subject: Subject) -> list[dict[str, Any]] | None:
    """Ask each earlier model what this one is asked; gives `StageResult`s as plain values, oldest first.

    None where stages are not compared.
    """
    return [_asked(subject, one) for one in subject.config.earlier] if subject.config.compare_stages else None


def _asked(subject: Subject, earlier: EarlierModel) -> dict[str, Any]:
    beside = {
        name: path.with_stem(f"{path.stem}-{earlier.stage}")
        for name in ("replies", "items")
        if (path := getattr(subject.config, name))
    }
    config = replace(subject.config, model=earlier.model, groups=None, **beside)
    dtype = activation_dtype(config.precision, subject.device)
    model, objective = load_any(config.model, dtype, config.average_checkpoints)
    cast_matrices(model, dtype)
    own = Subject(config, model.to(subject.device), objective, subject.device)
    text = score_text(own)
    return {
        "stage": earlier.stage,
        "validation": asdict(text) if text else None,
        "questions": ask_questions(own),
        "tasks": ask_tasks(own),
    }
