"""Preference finetuning beside TRL's: one model, one order of pairs, one optimizer, on a CPU.

Notable: TRL shuffles otherwise and learns the line end after a reply too, so both are given the same tokens in our
order. Both take AdamW with one rate for all weights, which is not what ours takes by default.
"""

import json
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from model.data.chat_format import load_chat_format
from model.data.packed_sequences import ShuffledOrder
from model.dpo.pairs import open_pairs
from model.export import export
from model.preference import prefer
from model.pretrain import pretrain
from model.sft import finetune
from tests.bench.side_by_side import show
from tests.bench.trl_environment import told_by_trl
from tests.model.tiny_corpus import SHAPE, make_tiny_corpus, read_metrics, write_json

STEPS, BATCH, BETA, LR, CONTEXT = 12, 8, 0.1, 1e-3, 64
SIZES = {"layers": 4, "hidden_size": 192, "intermediate_size": 512, "context": CONTEXT}
WARMUP = 2


@pytest.mark.bench
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("loss_type", "normalised"), [("sigmoid", False), ("sigmoid_norm", True)], ids=["plain", "length-normalised"]
)
def test_losses_and_speed_beside_trl(tmp_path: Path, loss_type: str, normalised: bool) -> None:
    corpus = make_tiny_corpus(tmp_path)
    base = corpus.pretrain_config(tmp_path / "base", 20)
    values = json.loads(base.read_text())
    assert pretrain(write_json(base, values | {"shape": SHAPE | SIZES})) == 0
    assert finetune(corpus.sft_config(tmp_path / "sft", tmp_path / "base", 10)) == 0
    exported = {"model": tmp_path / "sft", "tokenizer": corpus.tokenizer, "output": tmp_path / "export"}
    assert export(write_json(tmp_path / "export.json", {name: str(path) for name, path in exported.items()})) == 0
    lines = [json.loads(line)["messages"] for line in (tmp_path / "chat.jsonl").read_text().splitlines()]
    with (tmp_path / "pairs.jsonl").open("w") as file:
        for question, answer in lines:
            for _, other in lines:
                pair = {"prompt": question["content"], "chosen": answer["content"], "rejected": other["content"]}
                file.write(json.dumps(pair) + "\n")
    config = {
        "folder": str(tmp_path / "preference"),
        "base": str(tmp_path / "sft"),
        "tokenizer": str(corpus.tokenizer),
        "pairs": str(tmp_path / "pairs.jsonl"),
        "held_out_fraction": 0.0,
        "beta": BETA,
        "length_normalised": normalised,
        "loop": {"steps": STEPS, "global_batch_size": BATCH, "threads": 1, "precision": "float32"},
        "optimizer": {
            **{"name": "adamw", "weight_decay": 0.0, "table_beta1": 0.9, "table_beta2": 0.95},
            **dict.fromkeys(("lr", "norm_lr", "embedding_lr", "head_lr"), LR),
            "lr_scale": 1.0,
        },
        "schedule": {"decay_fraction": 0.0},
    }
    assert prefer(write_json(tmp_path / "preference.json", config)) == 0
    ours = [event for event in read_metrics(tmp_path / "preference/metrics.jsonl") if event["event"] == "step"]
    pairs = open_pairs(tmp_path / "pairs.jsonl", load_chat_format(corpus.tokenizer), CONTEXT, 0.0).trained
    order = ShuffledOrder(len(pairs), BATCH, 0)
    in_order = [pairs[number] for step in range(STEPS) for number in order.of_step(step)]
    asked = {
        **{"model": str(tmp_path / "export"), "batch": BATCH, "steps": STEPS, "beta": BETA, "lr": LR},
        **{"loss_type": loss_type, "pairs": [[pair.prompt, pair.chosen, pair.rejected] for pair in in_order]},
    }
    theirs = told_by_trl(Path(__file__).with_name("trl_dpo.py"), asked)
    # The margins that TRL logs are never normalised.
    for name, values in {"loss": theirs["losses"], **({} if normalised else {"margin": theirs["margins"]})}.items():
        for step, (found, expected) in enumerate(zip([event[name] for event in ours], values, strict=True), 1):
            assert found == pytest.approx(expected, abs=1e-4), f"{name} of step {step}"
    tokens = [after["tokens"] - before["tokens"] for before, after in pairwise(ours)][WARMUP:]
    rate = median(event["tokens_per_second"] for event in ours[1 + WARMUP :])
    their_rate = median(count / seconds for count, seconds in zip(tokens, theirs["seconds"][1 + WARMUP :], strict=True))
    show("DPO, tokens/s of ours over TRL's", {loss_type: rate / their_rate})
