"""The course of a training: losses by step, held-out scores, speed; from the metrics log in a model's folder.

Notable: a model whose run failed is found by its name, which ends with the stage and its fingerprint, so the losses
up to the failure are in the report.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from math import isfinite
from statistics import median_high
from typing import Any, TypeVar

from pydantic import FiniteFloat, PositiveFloat, PositiveInt, TypeAdapter, ValidationError

from flows.store.datasets import summary_of_part
from flows.store.missing import Missing, attempt
from flows.store.run_record import RunRecord
from flows.store.working_folder import working_folder
from model.base.json_lines import logged_objects
from tasks.dataset.store import Store

_T = TypeVar("_T")

TRAINING_NAMES = {
    "pretrain": "pretraining",
    "sft": "finetuning",
    "preference": "preference finetuning",
    "rl": "reinforcement learning",
}
"""What a training stage is called in text."""
CURVES = {
    "margin": "margin of the implicit rewards",
    "accuracy": "share of preferences that its rewards agree with",
    "chosen_reward": "reward of the better reply",
    "rejected_reward": "reward of the worse reply",
    "reward": "reward of a reply",
    "reply_tokens": "length of a reply in tokens",
    "entropy": "entropy of the next token in nats",
    "kl": "divergence from the reference in nats",
    "no_signal": "share of groups of equal rewards",
}
"""Numbers of a metrics log that are drawn beside the loss, by their names there: what they are."""
NAMED_DIGITS = 8
"""Digits of a stage's fingerprint in the names of the folders that its program writes."""


@dataclass(frozen=True)
class TrainingStep:
    """One logged optimizer step."""

    step: PositiveInt
    tokens: int
    """Tokens seen up to here."""
    loss: FiniteFloat
    """Nats per token."""
    tokens_per_second: PositiveFloat
    mfu: FiniteFloat | None = None
    """Share of the devices' peak; None where that is unknown."""

    def seconds_left(self, steps: int) -> float:
        """Return how long the rest of so many steps takes at this speed."""
        return max(0, steps - self.step) * self.tokens / self.step / self.tokens_per_second


@dataclass(frozen=True)
class HeldOut:
    """A score on held-out documents during training."""

    step: int
    loss: FiniteFloat | None = None
    """In the training's own unit; None where documents alone are scored and that is another one."""
    bits_per_byte: FiniteFloat | None = None

    @property
    def is_known(self) -> bool:
        """Whether there is a score at all: an evaluation may have been of replies alone."""
        return (self.loss, self.bits_per_byte) != (None, None)


Points = tuple[tuple[int, float], ...]
"""Steps and values."""


@dataclass(frozen=True)
class Curve:
    """A number by step."""

    name: str
    trained: Points
    """On what is trained on."""
    held_out: Points
    """On held-out examples."""


@dataclass(frozen=True)
class ReplySample:
    """A reply of the model in the midst of its training."""

    step: int
    prompt: str
    reply: str
    reward: FiniteFloat | None = None
    """None where there are no rewards, or this reply has none."""


@dataclass(frozen=True)
class Training:
    """One training stage's log."""

    stage: str
    steps: tuple[TrainingStep, ...]
    held_out: tuple[HeldOut, ...]
    planned_steps: int | None
    data: dict[str, int]
    """What finetuning counted in its conversations, e.g. how many were cut."""
    resumes: int
    """Times it went on from a checkpoint."""
    skipped: int
    """Steps without effect, since their loss or gradient was not finite or far too high."""
    rewinds: int
    """Times it went back to a checkpoint and skipped the batches since."""
    ended_early: str | None
    """Why it ended before its last step."""
    curves: tuple[Curve, ...] = ()
    """What its loss measures beside itself."""
    samples: tuple[ReplySample, ...] = ()
    """Replies at its first evaluation and at its last."""

    @property
    def loss_unit(self) -> str:
        """What its loss is measured in."""
        return {"preference": "nats per pair", "rl": "loss of the policy"}.get(self.stage, "nats per token")

    @property
    def last(self) -> TrainingStep:
        """The last logged step."""
        return self.steps[-1]

    @property
    def tokens_per_second(self) -> float:
        """The median of the logged speeds."""
        return median_high(step.tokens_per_second for step in self.steps)

    @property
    def incidents(self) -> list[str]:
        """Resumes, returns to a checkpoint, skipped steps and an early end, in words."""
        counted = {"resumed": self.resumes, "went back to a checkpoint": self.rewinds}
        words = [f"{what} {count:,} time{'' if count == 1 else 's'}" for what, count in counted.items() if count]
        if self.skipped:
            words.append(f"{self.skipped:,} step{'' if self.skipped == 1 else 's'} skipped")
        return [*words, f"ended early: {self.ended_early}"] if self.ended_early else words

    @property
    def note(self) -> str:
        """How far it is, and its incidents, in words."""
        of = f" of {self.planned_steps:,}" if self.planned_steps and self.planned_steps != self.last.step else ""
        return "; ".join([f"step {self.last.step:,}{of}, loss {self.last.loss:.3f}", *self.incidents])

    @property
    def seconds_left(self) -> float:
        """How long the rest takes, at the median of the logged speeds."""
        return replace(self.last, tokens_per_second=self.tokens_per_second).seconds_left(self.planned_steps or 0)


_STEP, _HELD_OUT, _SAMPLE = TypeAdapter(TrainingStep), TypeAdapter(HeldOut), TypeAdapter(ReplySample)


def newest_step(text: str) -> TrainingStep | None:
    """Return the last whole step of a metrics log, or of its end; None where it has none."""
    return next(reversed(_whole(_events(text)["step"], _STEP)), None)


def read_training(store: Store, record: RunRecord, stage: str) -> Training | Missing:
    """Return the log of a training stage."""
    if stage not in record.stages:
        return Missing(f"The recipe has no stage {stage!r}.")
    model = model_path(store, record, stage)
    if model is None:
        return Missing(f"The stage {stage!r} did not begin, so it has no losses.")
    path = f"{model}/metrics.jsonl"
    text = read_model_file(store, record, path)
    if text is None:
        raise FileNotFoundError(f"{store.url}/{path} is not there")
    events = _events(text)
    steps = _whole(events["step"], _STEP)
    if not steps:
        return Missing(f"{path} has no whole step yet.")
    data = next(iter(events["data"]), {})
    return Training(
        stage=stage,
        steps=tuple(steps),
        held_out=tuple(one for one in _whole(events["eval"], _HELD_OUT) if one.is_known),
        planned_steps=record.stages[stage].plan.config.get("loop", {}).get("steps"),
        data={name: count for name, count in data.items() if isinstance(count, int) and name != "step"},
        resumes=len(events["resume"]),
        skipped=len(events["skipped"]),
        rewinds=len(events["rewind"]),
        curves=tuple(_curves(events)),
        samples=tuple(_first_and_last(_whole(events["sample"], _SAMPLE))),
        ended_early=next((str(event["reason"]) for event in events["done"] if "reason" in event), None),
    )


def read_trainings(store: Store, record: RunRecord) -> dict[str, Training | Missing]:
    """Return the log of each training stage of a run, in order; that of pretraining alone where it trains nothing."""
    stages = training_stages(record) or ["pretrain"]
    return {stage: attempt(TRAINING_NAMES[stage], read_training, store, record, stage) for stage in stages}


def training_stages(record: RunRecord) -> list[str]:
    """Return the stages of a run that train its model, in order."""
    return [name for name in record.stages if name in TRAINING_NAMES]  # those of a ladder are none of the run's


def stage_summary(store: Store, record: RunRecord, stage: str) -> dict[str, Any]:
    """Return what a program's stage left, if anything; where an earlier run made it, it is in the stage's part."""
    seen = record.stages.get(stage)
    path = f"{seen.plan.folder}/part-00000.parquet" if seen else ""
    if not seen or seen.summary or not store.exists(path):
        return seen.summary if seen else {}
    return summary_of_part(store, path)


def model_path(store: Store, record: RunRecord, stage: str) -> str | None:
    """Return the folder of a stage's model in the store; None where there is none."""
    if stage not in record.stages:
        return None
    if named := stage_summary(store, record, stage).get("model"):
        return str(named)
    ending = f"-{stage}-{record.stages[stage].plan.fingerprint[:NAMED_DIGITS]}"
    for place in _places(store, record):
        for name in place.names("models"):
            if name.endswith(ending) and place.exists(f"models/{name}/metrics.jsonl"):
                return f"models/{name}"
    return None


def read_model_file(store: Store, record: RunRecord, path: str) -> str | None:
    """Return the content of a text file in a model's folder; None where it is not there."""
    for place in _places(store, record):
        if place.exists(path):
            return place.read_bytes(path).decode(errors="replace")  # a kill may cut a character
    return None


def _places(store: Store, record: RunRecord) -> list[Store]:
    """Return where model folders may lie: the store, and the local scratch folder where the store is remote."""
    return [store] if store.is_local else [store, Store(str(working_folder(store, record.scratch)))]


def _events(text: str) -> defaultdict[str, list[dict[str, Any]]]:
    """Return the events of a log by their kind; a last line that is still being written is left out."""
    events: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in logged_objects(text):
        events[str(event.get("event"))].append(event)
    return events


def _curves(events: Mapping[str, list[dict[str, Any]]]) -> Iterator[Curve]:
    for name in CURVES:
        trained, held_out = (_points(found, name) for found in (events["step"], events["eval"]))
        if trained or held_out:
            yield Curve(name, trained, held_out)


def _first_and_last(samples: list[ReplySample]) -> Iterator[ReplySample]:
    ends = {samples[0].step, samples[-1].step} if samples else set()
    yield from (sample for sample in samples if sample.step in ends)


def _points(events: list[dict[str, Any]], name: str) -> Points:
    """Return the steps and values of the events that have a finite number of this name."""
    there = [(event.get("step"), event.get(name)) for event in events]
    return tuple(
        (step, float(value))
        for step, value in there
        if type(step) is int and isinstance(value, int | float) and isfinite(value)
    )


def _whole(events: list[dict[str, Any]], kind: TypeAdapter[_T]) -> list[_T]:
    """Return the events that have their fields: a log may have been damaged, or written by another version."""
    found = []
    for event in events:
        with suppress(ValidationError):
            found.append(kind.validate_python(event))
    return found
