"""The course of a training: losses by step, held-out scores, speed; from the metrics log in a model's folder.

Notable: a model whose run failed is found by its name, which ends with the stage and its fingerprint, so the losses
up to the failure are in the report.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from flows.store.missing import Missing
from flows.store.run_record import RunRecord
from tasks.dataset.parts import read_part
from tasks.dataset.store import Store

_NAMED_DIGITS = 8


@dataclass(frozen=True)
class TrainingStep:
    """One logged optimizer step."""

    step: int
    tokens: int
    """Tokens seen up to here."""
    loss: float
    """Nats per token."""
    learning_rate: float
    tokens_per_second: float


@dataclass(frozen=True)
class HeldOut:
    """A score on held-out documents during training."""

    step: int
    loss: float
    """Nats per token."""
    bits_per_byte: float | None


@dataclass(frozen=True)
class Training:
    """One training stage's log."""

    stage: str
    model: str
    """The model's folder in the store."""
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

    @property
    def last(self) -> TrainingStep:
        """The last logged step."""
        return self.steps[-1]

    @property
    def tokens_per_second(self) -> float:
        """The median of the logged speeds."""
        speeds = sorted(step.tokens_per_second for step in self.steps)
        return speeds[len(speeds) // 2]

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


def read_training(store: Store, record: RunRecord, stage: str) -> Training | Missing:
    """Return the log of a training stage."""
    if stage not in record.stages:
        return Missing(f"The recipe has no stage {stage!r}.")
    model = model_path(store, record, stage)
    if model is None:
        return Missing(f"The stage {stage!r} did not begin, so it has no losses.")
    events = _events(_read(store, record, f"{model}/metrics.jsonl"))
    steps = tuple(
        TrainingStep(
            step=int(event["step"]),
            tokens=int(event["tokens"]),
            loss=float(event["loss"]),
            learning_rate=float(event["lr"]),
            tokens_per_second=float(event["tokens_per_second"]),
        )
        for event in events
        if event["event"] == "step"
    )
    if not steps:
        return Missing(f"{model}/metrics.jsonl has no step yet.")
    return Training(
        stage=stage,
        model=model,
        steps=steps,
        held_out=tuple(
            HeldOut(int(event["step"]), float(event["loss"]), _number(event.get("bits_per_byte")))
            for event in events
            if event["event"] == "eval"
        ),
        planned_steps=record.stages[stage].plan.config.get("loop", {}).get("steps"),
        data=next((_counts(event) for event in events if event["event"] == "data"), {}),
        resumes=sum(event["event"] == "resume" for event in events),
        skipped=sum(event["event"] == "skipped" for event in events),
        rewinds=sum(event["event"] == "rewind" for event in events),
        ended_early=next((event["reason"] for event in events if event["event"] == "done" and "reason" in event), None),
    )


def stage_summary(store: Store, record: RunRecord, stage: str) -> dict[str, Any]:
    """Return what a program's stage left: from the run's record, or from the stage's part where an earlier run made it.

    Empty where it left nothing.
    """
    if stage not in record.stages:
        return {}
    seen = record.stages[stage]
    if seen.summary:
        return seen.summary
    path = f"{seen.plan.folder}/part-00000.parquet"
    if not store.exists(path):
        return {}
    return dict(json.loads(next(iter(read_part(store, path, ["summary"])))["summary"][0].as_py()))


def model_path(store: Store, record: RunRecord, stage: str) -> str | None:
    """Return the folder of a stage's model in the store; None where there is none."""
    named = stage_summary(store, record, stage).get("model")
    if named:
        return str(named)
    if stage not in record.stages:
        return None
    ending = f"-{stage}-{record.stages[stage].plan.fingerprint[:_NAMED_DIGITS]}"
    for place in _places(store, record):
        for name in place.names("models"):
            if name.endswith(ending) and place.exists(f"models/{name}/metrics.jsonl"):
                return f"models/{name}"
    return None


def read_model_file(store: Store, record: RunRecord, path: str) -> str | None:
    """Return the content of a text file in a model's folder; None where it is not there."""
    for place in _places(store, record):
        if place.exists(path):
            return place.read_bytes(path).decode()
    return None


def _read(store: Store, record: RunRecord, path: str) -> str:
    text = read_model_file(store, record, path)
    if text is None:
        raise FileNotFoundError(f"{store.url}/{path} is not there")
    return text


def _places(store: Store, record: RunRecord) -> list[Store]:
    """Return where model folders may lie: the store, and the local scratch folder where the store is remote."""
    scratch = record.settings.get("scratch")
    return [store] if store.is_local or not scratch else [store, Store(str(scratch))]


def _events(text: str) -> list[dict[str, Any]]:
    """Return the events of a log; a last line that is still being written is left out."""
    events = []
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            events.append(event)
    return events


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _counts(event: dict[str, Any]) -> dict[str, int]:
    return {name: int(value) for name, value in event.items() if name not in ("event", "step")}
