"""TRL's DPO and KTO on texts that are tokens already, in their order: a script for TRL's environment.

Reads {"model": export folder, "rows": the columns of each example, "settings", "method": "dpo" or "kto", "config":
further fields of TRL's config} from standard input; prints {"losses": [...], "logged": {name: [...]},
"seconds": processor time of each step}.
"""

import json
import sys
import tempfile
import time
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

LOGGED = ("rewards/margins", "kl")


class _TakesTokens:
    """Takes examples as they are."""

    def _prepare_dataset(self, dataset: Dataset, *rest: Any) -> Dataset:
        return dataset


class TokensDpo(_TakesTokens, DPOTrainer):
    """DPO on tokens."""


class TokensKto(_TakesTokens, KTOTrainer):
    """KTO on tokens."""


METHODS: dict[str, tuple[Any, Any]] = {"dpo": (DPOConfig, TokensDpo), "kto": (KTOConfig, TokensKto)}


class Clock(TrainerCallback):
    """The processor time at each step's end."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_begin(self, *arguments: Any, **named: Any) -> None:
        """Note when the first step began."""
        self.times = self.times or [time.process_time()]

    def on_step_end(self, *arguments: Any, **named: Any) -> None:
        """Note the end of a step."""
        self.times.append(time.process_time())


def main() -> None:
    """Train as the standard input says."""
    said = json.load(sys.stdin)
    torch.set_num_threads(1)
    config_class, trainer_class = METHODS[said["method"]]
    model = AutoModelForCausalLM.from_pretrained(said["model"], dtype=torch.float32)
    config = config_class(
        **said["settings"],
        output_dir=tempfile.mkdtemp(),
        train_sampling_strategy="sequential",
        **said["config"],
        precompute_ref_log_probs=True,
    )
    clock = Clock()
    trainer = trainer_class(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(said["rows"]),
        processing_class=AutoTokenizer.from_pretrained(said["model"]),
        callbacks=[clock],
    )
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    found = {
        "losses": [entry["loss"] for entry in logged],
        "logged": {name: [entry.get(name) for entry in logged] for name in LOGGED},
        "seconds": [end - start for start, end in zip(clock.times, clock.times[1:], strict=False)],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
