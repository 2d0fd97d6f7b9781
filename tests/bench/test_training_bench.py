"""Our training loop beside one like nanoGPT's and one around transformers' Qwen3: equal sizes, batch and precision."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from model.device import available_cores
from tests.bench.our_training import our_training
from tests.bench.packed_corpus import open_packed_corpus
from tests.bench.rival_training import nanogpt_style, transformers_style
from tests.bench.side_by_side import median_ratio, rates_in_turn, show

WARMUP, STEPS, ROUNDS = 2, 8, 4


@pytest.mark.bench
def test_tokens_per_second_beside_other_loops(packed_corpus: Path) -> None:
    """Ours trains on packed documents, each hidden from its neighbours, which the others cannot; so once without."""
    pytest.importorskip("transformers")
    tokens = open_packed_corpus(packed_corpus)[2]
    workers = {
        "adamw": our_training(packed_corpus, "adamw", WARMUP, STEPS),
        "adamw, no document mask": our_training(packed_corpus, "adamw", WARMUP, STEPS, document_mask=False),
        "muon": our_training(packed_corpus, "muon", WARMUP, STEPS),
        "nanogpt": nanogpt_style(tokens, WARMUP, STEPS),
        "transformers": transformers_style(tokens, WARMUP, STEPS),
    }
    torch.set_num_threads(available_cores())
    rates = rates_in_turn(workers, ROUNDS)
    ratios = {
        f"{ours} over {rival}": median_ratio(rates[ours], rates[rival])
        for ours in ("adamw", "adamw, no document mask", "muon")
        for rival in ("nanogpt", "transformers")
    }
    show("Training at 2.2M parameters, tokens/s of ours over theirs", ratios)
    assert ratios["adamw over nanogpt"] >= 0.8
    assert ratios["adamw over transformers"] >= 1.2
    assert ratios["muon over nanogpt"] >= 0.7
    assert ratios["muon over transformers"] >= 1.1
