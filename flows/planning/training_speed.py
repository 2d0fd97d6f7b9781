"""How fast this machine has trained before: the speed of the newest model in the store, in FLOP/s."""

from pydantic import TypeAdapter

from flows.store.missing import Missing, attempt
from flows.store.run_record import newest_runs
from flows.store.training_log import read_training
from model.base.sizes import ModelShape
from model.metrics.flops import flop_per_token
from tasks.dataset.store import Store


def measured_speed(store: Store, recipe: str) -> tuple[float, str] | None:
    """Return the FLOP/s of the newest pretraining of a recipe of this name, and their source; None without any."""
    for record in newest_runs(store):
        if record.recipe.get("name") == recipe and "pretrain" in record.stages:
            training = attempt("The training log", read_training, store, record, "pretrain")
            if not isinstance(training, Missing):
                shape = TypeAdapter(ModelShape).validate_python(record.stages["pretrain"].plan.config["shape"])
                speed = f"{training.tokens_per_second:,.0f} tokens/s"
                source = f"as the run {record.run} trained on {record.process.host}: {speed}"
                return training.tokens_per_second * flop_per_token(shape), source
    return None
