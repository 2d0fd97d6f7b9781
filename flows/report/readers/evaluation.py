"""How good the finished model is: bits per byte beside a unigram baseline, and its answers to questions."""

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from flows.store.missing import Missing
from flows.store.run_record import RunRecord
from flows.store.training_log import NAMED_DIGITS, model_path, read_model_file, stage_summary, training_stages
from model.base.json_lines import logged_objects
from model.evaluation.results import Reply, TaskResult, TextSample, Validation
from tasks.dataset.store import Store

_VALIDATION = TypeAdapter(Validation | None)
_TASKS = TypeAdapter(list[TaskResult])
SHOWCASE_GROUP = "held_out"
"""The group whose first question is the showcase: facts that finetuning never asked for."""


@dataclass(frozen=True)
class GroupAccuracy:
    """How many questions of a group were answered right."""

    group: str
    right: int
    n: int

    @property
    def accuracy(self) -> float:
        """Return the share of right answers."""
        return self.right / self.n if self.n else 0.0


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What one model came to."""

    validation: Validation | None
    groups: tuple[GroupAccuracy, ...]
    tasks: tuple[TaskResult, ...]
    """Evaluation tasks, in the order in which they were asked."""


@dataclass(frozen=True, kw_only=True)
class Evaluation(Scores):
    """Everything the evaluation stage measured: what the run's model came to, and what stands beside it."""

    parameters: int | None
    replies: tuple[Reply, ...]
    """In the order of the questions; empty where there is no file."""
    samples: tuple[TextSample, ...]
    """What the pretrained model wrote, where no questions were asked."""
    pretrained_bits_per_byte: float | None
    """Of the model before finetuning, on the documents that `pretrain.loop.evaluation_documents` allows; None where it
    was not finetuned or not measured."""
    stages: dict[str, Scores]
    """The model of each training stage, the run's own last; empty where the recipe does not compare them."""

    @property
    def showcase(self) -> Reply | None:
        """Return the first held-out question, the first in its file whatever the model answers; else the first."""
        held_out = [reply for reply in self.replies if reply.group == SHOWCASE_GROUP]
        return next(iter(held_out or self.replies), None)


def read_evaluation(store: Store, record: RunRecord) -> Evaluation | Missing:
    """Read the evaluation's result and replies."""
    if "evaluate" not in record.stages:
        return Missing("The recipe trains no model, so there is nothing to evaluate.")
    result = stage_summary(store, record, "evaluate")
    if not result:
        return Missing("The model has not been evaluated.")
    last = evaluated_stage(record)
    scores = _scores(result)
    earlier = {one["stage"]: _scores(one) for one in result.get("earlier") or ()}
    return Evaluation(
        **vars(scores),
        parameters=result.get("parameters"),
        replies=_replies(store, record) if scores.groups else (),
        samples=tuple(TextSample(**sample) for sample in result.get("samples") or ()),
        pretrained_bits_per_byte=None
        if last == "pretrain"
        else stage_summary(store, record, "pretrain").get("bits_per_byte"),
        stages=earlier | {last: scores} if earlier else {},
    )


def _scores(result: dict[str, Any]) -> Scores:
    questions = result.get("questions") or {}
    return Scores(
        validation=_VALIDATION.validate_python(result.get("validation")),
        groups=tuple(GroupAccuracy(name, int(group["right"]), int(group["n"])) for name, group in questions.items()),
        tasks=tuple(_TASKS.validate_python(result.get("tasks") or [])),
    )


def evaluated_stage(record: RunRecord) -> str:
    """Return the stage whose model is evaluated and exported."""
    return next(reversed(training_stages(record)), "pretrain")


def _replies(store: Store, record: RunRecord) -> tuple[Reply, ...]:
    model = model_path(store, record, evaluated_stage(record))
    named = record.stages["evaluate"].plan.fingerprint[:NAMED_DIGITS]
    text = read_model_file(store, record, f"{model}/evaluation-{named}/replies.jsonl") if model else None
    return tuple(Reply(**reply) for reply in logged_objects(text or ""))
