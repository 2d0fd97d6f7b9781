"""TRL's GRPO on the prompts of each step in their order: a script for TRL's environment.

Reads {"model": export folder, "prompts": [text, ...], "group", "limit", "settings", "seed", "replies"} from
standard input; `replies`, [[prompt, reply], ...] as tokens, are learnt from in place of ones that TRL draws, or null.
Prints {"losses", "norms", "rewards": of each step, "seconds": of all steps}.
"""

import json
import sys
import tempfile
import time
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer


def main() -> None:
    """Train as the standard input says."""
    said = json.load(sys.stdin)
    torch.set_num_threads(1)
    given = iter(said["replies"] or [])

    def brevity(completion_ids: list[list[int]], **rest: Any) -> list[float]:
        return [1.0 - len(ids) / said["limit"] for ids in completion_ids]

    def replies(prompts: list[Any], trainer: GRPOTrainer) -> dict[str, Any]:
        chosen = [next(given) for _ in prompts]
        return {
            "prompt_ids": [one[0] for one in chosen],
            "completion_ids": [one[1] for one in chosen],
            "logprobs": None,
        }

    config = GRPOConfig(
        **said["settings"],
        output_dir=tempfile.mkdtemp(),
        seed=said["seed"],
        num_generations=said["group"],
        max_completion_length=said["limit"],
        shuffle_dataset=False,
        beta=0.0,
        loss_type="dapo",
        scale_rewards="group",
        temperature=1.0,
        top_k=0,
        top_p=1.0,
    )
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(said["model"], dtype=torch.float32),
        reward_funcs=brevity,
        args=config,
        train_dataset=Dataset.from_list(
            [{"prompt": [{"role": "user", "content": prompt}]} for prompt in said["prompts"]]
        ),
        processing_class=AutoTokenizer.from_pretrained(said["model"]),
        rollout_func=replies if said["replies"] else None,
    )
    began = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - began
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    names = {"losses": "loss", "norms": "grad_norm", "rewards": "reward"}
    found = {name: [entry[key] for entry in logged] for name, key in names.items()}
    print(json.dumps(found | {"seconds": seconds}))


if __name__ == "__main__":
    main()
