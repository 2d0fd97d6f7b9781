"""Reinforcement learning beside TRL's: one model, one order of prompts, one reward, one optimizer, on a CPU.

Notable: given the same replies both must learn the same, step by step. What each comes to with replies that it draws
itself is compared over seeds, since draws differ.
"""

from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest

from model.base.json_lines import json_lines
from model.data.packed_sequences import Batch, ShuffledOrder
from model.export import export
from model.network.transformer import Transformer, initialise
from model.reinforcement.rollouts import Rollouts
from model.rl import reinforce
from tests.bench.post_training.trl_environment import told_by_trl
from tests.bench.side_by_side import show
from tests.model.parrot import SHAPE, write_export
from tests.model.tiny_corpus import make_tiny_corpus, read_metrics, write_json

STEPS, GROUP, BATCH, LIMIT, LR = 24, 8, 64, 16, 5e-3
PROMPTS = [first + second for first in "abcdefgh" for second in "xy"]
SEEDS = (0, 1, 2)
T_OF_THREE = 4.303
"""Student's t for 95% with two degrees of freedom."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an export of a model without knowledge, and prompts."""
    root = tmp_path_factory.mktemp("grpo")
    corpus = make_tiny_corpus(root)
    model = Transformer(SHAPE)
    initialise(model, 0)
    write_export(root / "drawn", model, corpus.tokenizer)
    config = {"model": root / "drawn", "tokenizer": corpus.tokenizer, "output": root / "export"}
    assert export(write_json(root / "export.json", {name: str(path) for name, path in config.items()})) == 0
    (root / "prompts.jsonl").write_text(json_lines({"prompt": prompt} for prompt in PROMPTS))
    return root


def ours(base: Path, folder: Path, seed: int) -> list[dict[str, Any]]:
    """The steps of our training."""
    config = {
        "folder": str(folder),
        "base": str(base / "export"),
        "tokenizer": str(base / "tokenizer.json"),
        "prompts": str(base / "prompts.jsonl"),
        **{"rewards": {"brevity": 1}, "group_size": GROUP, "max_new_tokens": LIMIT},
        "loop": {"steps": STEPS, "global_batch_size": BATCH, "threads": 1, "precision": "float32", "seed": seed},
        "optimizer": {
            **{"name": "adamw", "weight_decay": 0.0, "table_beta1": 0.9, "table_beta2": 0.95, "lr_scale": 1.0},
            **dict.fromkeys(("lr", "norm_lr", "embedding_lr", "head_lr"), LR),
        },
        "schedule": {"decay_fraction": 0.0},
    }
    assert reinforce(write_json(folder.with_suffix(".json"), config)) == 0
    return [event for event in read_metrics(folder / "metrics.jsonl") if event["event"] == "step"]


def theirs(base: Path, seed: int, replies: list[Any] | None) -> dict[str, Any]:
    """What TRL's training comes to."""
    order = ShuffledOrder(len(PROMPTS), BATCH // GROUP, seed)
    prompts = [PROMPTS[number] for step in range(STEPS) for number in order.of_step(step)]
    asked = {"model": str(base / "export"), "prompts": prompts, "group": GROUP, "batch": BATCH, "steps": STEPS}
    asked |= {"limit": LIMIT, "lr": LR, "seed": seed, "replies": replies}
    return told_by_trl(Path(__file__).with_name("trl_grpo.py"), asked)


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_the_same_replies_teach_the_same(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replies: list[Any] = []
    batch_of = Rollouts.batch

    def noted(self: Rollouts, step: int, rank: int, world_size: int) -> Batch:
        batch = batch_of(self, step, rank, world_size)
        for inputs, targets in zip(batch.inputs, batch.targets, strict=True):
            (places,) = np.nonzero(targets >= 0)
            replies.append([inputs[: places[0] + 1].tolist(), targets[places].tolist()])
        return batch

    monkeypatch.setattr(Rollouts, "batch", noted)
    found = ours(base, tmp_path / "rl", 0)
    expected = theirs(base, 0, replies)
    assert [step["reward"] for step in found] == pytest.approx(expected["rewards"], abs=1e-6)
    for name, values in (("loss", expected["losses"]), ("grad_norm", expected["norms"])):
        assert [step[name] for step in found] == pytest.approx(values, abs=1e-4, rel=1e-3), name


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_reward_after_equal_samples(base: Path, tmp_path: Path) -> None:
    ends: dict[str, list[float]] = {"ours": [], "TRL": []}
    seconds = {"ours": 0.0, "TRL": 0.0}
    for seed in SEEDS:
        steps, other = ours(base, tmp_path / f"rl-{seed}", seed), theirs(base, seed, None)
        ends["ours"].append(mean(step["reward"] for step in steps))
        ends["TRL"].append(mean(other["rewards"]))
        seconds["ours"] += steps[-1]["seconds"]
        seconds["TRL"] += other["seconds"]
    show("GRPO, mean reward of all samples", {name: mean(values) for name, values in ends.items()})
    half = {name: T_OF_THREE * stdev(values) / len(values) ** 0.5 for name, values in ends.items()}
    show("GRPO, half of its 95% interval", half)
    show("GRPO, samples/s of ours over TRL's", {"ratio": seconds["TRL"] / seconds["ours"]})
    assert mean(ends["ours"]) + half["ours"] >= mean(ends["TRL"]) - half["TRL"]
