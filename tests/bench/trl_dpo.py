"""TRL's DPO on pairs that are tokens already, in their order: a script for TRL's environment.

Reads {"model": export folder, "pairs": [[prompt, chosen, rejected], ...], "batch", "steps", "beta", "lr", "loss_type"}
from standard input; prints {"losses": [...], "margins": [...], "seconds": of each step, "reference_seconds"}.
"""

import json
import sys
import tempfile
import time
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer


class TokensTrainer(DPOTrainer):
    """Takes pairs as they are."""

    def _prepare_dataset(self, dataset: Dataset, *rest: Any) -> Dataset:
        return dataset


class Clock(TrainerCallback):
    """The time of each step's end."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_begin(self, *arguments: Any, **named: Any) -> None:
        """Note when the first step began."""
        self.times = self.times or [time.perf_counter()]

    def on_step_end(self, *arguments: Any, **named: Any) -> None:
        """Note the end of a step."""
        self.times.append(time.perf_counter())


def main() -> None:
    """Train as the standard input says."""
    said = json.load(sys.stdin)
    torch.set_num_threads(1)
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    model = AutoModelForCausalLM.from_pretrained(said["model"], dtype=torch.float32)
    config = DPOConfig(
        output_dir=tempfile.mkdtemp(),
        use_cpu=True,
        bf16=False,
        max_steps=said["steps"],
        per_device_train_batch_size=said["batch"],
        train_sampling_strategy="sequential",
        learning_rate=said["lr"],
        lr_scheduler_type="constant",
        adam_beta1=0.9,
        adam_beta2=0.95,
        adam_epsilon=1e-10,
        weight_decay=0.0,
        max_grad_norm=1.0,
        beta=said["beta"],
        loss_type=[said["loss_type"]],
        precompute_ref_log_probs=True,
        gradient_checkpointing=False,
        disable_dropout=True,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    began, clock = time.perf_counter(), Clock()
    rows = [dict(zip(names, pair, strict=True)) for pair in said["pairs"]]
    trainer = TokensTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(said["model"]),
        callbacks=[clock],
    )
    reference = time.perf_counter() - began
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    found = {
        "losses": [entry["loss"] for entry in logged],
        "margins": [entry["rewards/margins"] for entry in logged],
        "seconds": [end - start for start, end in zip(clock.times, clock.times[1:], strict=False)],
        "reference_seconds": reference,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
