"""How fast this machine has trained before: the speed of the newest model in the store, in FLOP/s."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from flows.store.missing import Missing, attempt
from flows.store.run_record import RunRecord, read_run, run_names
from flows.store.training_log import Training, read_training
from model.base.config import ModelShape
from model.metrics.flops import flop_per_token
from tasks.dataset.store import Store


@dataclass(frozen=True)
class MeasuredSpeed:
    """What training has reached here."""

    flop_per_second: float
    source: str


def measured_speed(store: Store, recipe: str) -> MeasuredSpeed | None:
    """Return the speed of the newest pretraining of a recipe of this name; None where there was none."""
    for name in reversed(run_names(store)):
        record = read_run(store, name)
        if record.recipe.get("name") == recipe and "pretrain" in record.stages:
            training = attempt("The training log", read_training, store, record, "pretrain")
            if not isinstance(training, Missing):
                return _speed(training, record)
    return None


def _speed(training: Training, record: RunRecord) -> MeasuredSpeed:
    shape = TypeAdapter(ModelShape).validate_python(record.stages["pretrain"].plan.config["shape"])
    source = f"as the run {record.run} trained on {record.host}: {training.tokens_per_second:,.0f} tokens/s"
    return MeasuredSpeed(training.tokens_per_second * flop_per_token(shape), source)
