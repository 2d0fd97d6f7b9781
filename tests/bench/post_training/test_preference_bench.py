"""Preference finetuning beside TRL's: one model, one order of examples, one optimizer, on a CPU.

Notable: TRL shuffles otherwise and learns the line end after a reply too, so both are given the same tokens in our
order. Both take AdamW with one rate for all weights, which is not what ours takes by default. Steps are compared by
processor time on one thread, in turn, so that what else the machine does falls on both.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from model.data.chat_format import load_chat_format
from model.data.packed_sequences import Batch, ShuffledOrder
from model.export import export
from model.preference import prefer
from model.preferences.pairs import PairBatches, open_pairs
from model.preferences.rated_replies import balanced_weights, open_rated_replies
from model.pretrain import pretrain
from model.sft import finetune
from tests.bench.post_training.trl_environment import told_by_trl
from tests.bench.side_by_side import median_ratio, rates_in_turn, show
from tests.model.tiny_corpus import SHAPE, make_tiny_corpus, read_metrics, write_json

STEPS, BATCH, BETA, LR, CONTEXT = 12, 8, 0.1, 1e-3, 64
SIZES = {"layers": 4, "hidden_size": 192, "intermediate_size": 512, "context": CONTEXT}
WARMUP, ROUNDS = 2, 2


@dataclass(frozen=True)
class _Chain:
    """A finetuned model, its export, and pairs for it."""

    root: Path
    tokenizer: Path

    def ours(self, name: str, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The steps of our training."""
        config = {
            "folder": str(self.root / name),
            "base": str(self.root / "sft"),
            "tokenizer": str(self.tokenizer),
            "pairs": str(self.root / "pairs.jsonl"),
            "held_out_fraction": 0.0,
            "beta": BETA,
            "loop": {"steps": STEPS, "global_batch_size": BATCH, "threads": 1, "precision": "float32"},
            "optimizer": {
                **{"name": "adamw", "weight_decay": 0.0, "table_beta1": 0.9, "table_beta2": 0.95},
                **dict.fromkeys(("lr", "norm_lr", "embedding_lr", "head_lr"), LR),
                "lr_scale": 1.0,
            },
            "schedule": {"decay_fraction": 0.0},
            **fields,
        }
        assert prefer(write_json(self.root / f"{name}.json", config)) == 0
        return [event for event in read_metrics(self.root / name / "metrics.jsonl") if event["event"] == "step"]

    def theirs(self, method: str, config: Mapping[str, Any], examples: list[dict[str, Any]]) -> dict[str, Any]:
        """What TRL's training comes to on the same examples, which are given as its columns."""
        order = ShuffledOrder(len(examples), BATCH, 0)
        rows = [examples[number] for step in range(STEPS) for number in order.of_step(step)]
        asked = {"model": str(self.root / "export"), "rows": rows, "batch": BATCH, "steps": STEPS, "lr": LR}
        asked |= {"method": method, "config": {"beta": BETA, **config}}
        return told_by_trl(Path(__file__).with_name("trl_preference.py"), asked)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> _Chain:
    """A model that answers, and each question with its answer before every other answer."""
    root = tmp_path_factory.mktemp("preference")
    corpus = make_tiny_corpus(root)
    base = corpus.pretrain_config(root / "base", 20)
    values = json.loads(base.read_text())
    assert pretrain(write_json(base, values | {"shape": SHAPE | SIZES})) == 0
    assert finetune(corpus.sft_config(root / "sft", root / "base", 10)) == 0
    exported = {"model": root / "sft", "tokenizer": corpus.tokenizer, "output": root / "export"}
    assert export(write_json(root / "export.json", {name: str(path) for name, path in exported.items()})) == 0
    lines = [json.loads(line)["messages"] for line in (root / "chat.jsonl").read_text().splitlines()]
    with (root / "pairs.jsonl").open("w") as file:
        for question, answer in lines:
            for _, other in lines:
                pair = {"prompt": question["content"], "chosen": answer["content"], "rejected": other["content"]}
                file.write(json.dumps(pair) + "\n")
    return _Chain(root, corpus.tokenizer)


def agree(found: list[dict[str, Any]], expected: Mapping[str, list[float]]) -> None:
    """Fail where a number of a step is not TRL's."""
    for name, values in expected.items():
        for step, (ours, theirs) in enumerate(zip([event[name] for event in found], values, strict=True), 1):
            assert ours == pytest.approx(theirs, abs=1e-4), f"{name} of step {step}"


def compare_speed(
    title: str,
    chain: _Chain,
    fields: Mapping[str, Any],
    theirs: tuple[str, Mapping[str, Any], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Print our rate over TRL's; both see the same tokens in a step."""
    batch_of, rounds = PairBatches.batch, iter(range(ROUNDS))

    def ours() -> float:
        times: list[float] = []

        def noted(self: PairBatches, step: int, rank: int, world_size: int) -> Batch:
            times.append(time.process_time())
            return batch_of(self, step, rank, world_size)

        monkeypatch.setattr(PairBatches, "batch", noted)
        chain.ours(f"{title}-{next(rounds)}", fields)
        return 1 / median(after - before for before, after in pairwise(times[WARMUP:]))

    rates = rates_in_turn(
        {"ours": ours, "TRL's": lambda: 1 / median(chain.theirs(*theirs)["seconds"][WARMUP:])}, ROUNDS
    )
    show(f"{title}, tokens/s of ours over TRL's", {"ratio": median_ratio(rates["ours"], rates["TRL's"])})


@pytest.mark.bench
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("loss_type", "normalised"), [("sigmoid", False), ("sigmoid_norm", True)], ids=["plain", "length-normalised"]
)
def test_dpo_beside_trl(chain: _Chain, monkeypatch: pytest.MonkeyPatch, loss_type: str, normalised: bool) -> None:
    pairs = open_pairs(chain.root / "pairs.jsonl", load_chat_format(chain.tokenizer), CONTEXT, 0.0).trained
    rows = [{"prompt_ids": one.prompt, "chosen_ids": one.chosen, "rejected_ids": one.rejected} for one in pairs]
    fields, theirs = {"length_normalised": normalised}, ("dpo", {"loss_type": [loss_type]}, rows)
    told = chain.theirs(*theirs)
    # The margins that TRL logs are never normalised.
    margins = {} if normalised else {"margin": told["logged"]["rewards/margins"]}
    agree(chain.ours(f"dpo-{loss_type}", fields), {"loss": told["losses"], **margins})
    compare_speed(f"DPO {loss_type}", chain, fields, theirs, monkeypatch)


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_kto_beside_trl(chain: _Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    rated = open_rated_replies(chain.root / "pairs.jsonl", load_chat_format(chain.tokenizer), CONTEXT, 0.0).trained
    weights = balanced_weights(rated)
    rows = [
        {
            "prompt_ids": one.prompt,
            "completion_ids": one.reply,
            "KL_completion_ids": one.unrelated,
            "label": one.is_good,
        }
        for one in rated
    ]
    config = {"desirable_weight": float(weights.max()), "undesirable_weight": float(-weights.min())}
    fields, theirs = {"method": "kto"}, ("kto", config, rows)
    told = chain.theirs(*theirs)
    agree(chain.ours("kto", fields), {"loss": told["losses"], "kl": told["logged"]["kl"]})
    assert max(told["logged"]["kl"]) > 0.1, "the distance is not at its bound all the time"
    compare_speed("KTO", chain, fields, theirs, monkeypatch)
