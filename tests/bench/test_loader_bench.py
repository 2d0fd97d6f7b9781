"""The loader beside the training step that it feeds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.bench.our_training import TOKENS_PER_STEP, our_training
from tests.bench.packed_corpus import open_packed_corpus
from tests.bench.side_by_side import median_ratio, rates_in_turn, show

BATCHES = 150
ROUNDS = 3


@pytest.mark.bench
def test_the_loader_is_far_ahead_of_the_training_step(packed_corpus: Path) -> None:
    data = open_packed_corpus(packed_corpus)[0]

    def load() -> float:
        began = time.perf_counter()
        full = sum(data.batch(step, 0, 1).tokens_in_step for step in range(BATCHES))
        seconds = time.perf_counter() - began
        assert full >= 0.99 * BATCHES * TOKENS_PER_STEP
        return BATCHES * TOKENS_PER_STEP / seconds

    rates = rates_in_turn({"load": load, "train": our_training(packed_corpus, "muon", warmup=2, steps=6)}, ROUNDS)
    ratio = median_ratio(rates["load"], rates["train"])
    show("Loader, tokens/s over those of the training step at 2.2M parameters", {"batches over steps": ratio})
    assert ratio >= 50
