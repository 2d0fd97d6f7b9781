"""How good the finished model is: bits per byte beside a unigram baseline, and its answers to questions."""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Evaluation:
    """Everything the evaluation stage measured."""

    parameters: int | None
    validation: Validation | None
    groups: tuple[GroupAccuracy, ...]
    replies: tuple[Reply, ...]
    """In the order of the questions; empty where there is no file."""
    tasks: tuple[TaskResult, ...]
    """Evaluation tasks, in the order in which they were asked."""
    samples: tuple[TextSample, ...]
    """What the pretrained model wrote, where no questions were asked."""
    pretrained_bits_per_byte: float | None
    """Of the model before finetuning, on the documents that `pretrain.loop.evaluation_documents` allows; None where it
    was not finetuned or not measured."""

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
    validation, questions = result.get("validation"), result.get("questions") or {}
    finetuned = evaluated_stage(record) != "pretrain"
    return Evaluation(
        parameters=result.get("parameters"),
        validation=_VALIDATION.validate_python(validation),
        groups=tuple(GroupAccuracy(name, int(group["right"]), int(group["n"])) for name, group in questions.items()),
        replies=_replies(store, record) if questions else (),
        tasks=tuple(_TASKS.validate_python(result.get("tasks") or [])),
        samples=tuple(TextSample(**sample) for sample in result.get("samples") or ()),
        pretrained_bits_per_byte=stage_summary(store, record, "pretrain").get("bits_per_byte") if finetuned else None,
    )


def evaluated_stage(record: RunRecord) -> str:
    """Return the stage whose model is evaluated and exported."""
    return next(reversed(training_stages(record)), "pretrain")


def _replies(store: Store, record: RunRecord) -> tuple[Reply, ...]:
    model = model_path(store, record, evaluated_stage(record))
    named = record.stages["evaluate"].plan.fingerprint[:NAMED_DIGITS]
    text = read_model_file(store, record, f"{model}/evaluation-{named}/replies.jsonl") if model else None
    return tuple(Reply(**reply) for reply in logged_objects(text or ""))
