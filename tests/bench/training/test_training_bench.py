"""Our training loop beside one like nanoGPT's and one around transformers' Qwen3: equal sizes, batch and precision.

Notable: ours with `compile` is what a user of a CPU would take; the rivals are eager, since compiled whole they are
several times slower here (docs/log.md). Ours also runs eager, so that both differences can be seen. A rate is that of
the median step of a short round, a ratio the median over the rounds, and ways that are compared stand next to each
other in a round: whatever else the machine does spoils some steps, or falls on both, or spoils a round or two of nine.
"""

from pathlib import Path

import pytest
import torch

from model.base.device import available_cores
from model.base.learning_config import OptimizerConfig
from tests.bench.side_by_side import median_ratio, rates_in_turn, show
from tests.bench.training.our_training import our_training
from tests.bench.training.packed_corpus import TWELVE_MILLION, TWO_MILLION, Sizes, open_packed_corpus
from tests.bench.training.rival_training import nanogpt_style, rival_speed, transformers_style

WARMUP, ROUNDS = 1, 9
LEAST = {
    "2.2M": {"adamw": (1.0, 1.4), "muon": (0.85, 1.2), "muon by heads": (1.0, 1.2)},
    "12.2M": {"adamw": (1.0, 1.3), "muon": (0.65, 0.85), "muon by heads": (0.85, 1.0)},
}
"""What is asserted of ours over the nanoGPT-style loop and over transformers, and was
measured on each of several days (docs/log.md)."""


@pytest.mark.bench
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "sizes", "steps"), [("2.2M", TWO_MILLION, 5), ("12.2M", TWELVE_MILLION, 3)], ids=LEAST
)
def test_tokens_per_second_beside_other_loops(packed_corpus: Path, name: str, sizes: Sizes, steps: int) -> None:
    """Ours trains on packed documents, each hidden from its neighbours, which the others cannot; so once without.

    At 12.2M parameters a step has 2,048 positions only, and Muon's products take two fifths of its time.
    """
    pytest.importorskip("transformers")
    tokens = open_packed_corpus(packed_corpus, sizes)[2]
    adamw, by_heads = OptimizerConfig(name="adamw", lr=1e-3), OptimizerConfig(muon_unit="head")
    workers = {
        "adamw, no document mask": our_training(
            packed_corpus, adamw, WARMUP, steps, document_mask=False, compile=True, sizes=sizes
        ),
        "muon": our_training(packed_corpus, OptimizerConfig(), WARMUP, steps, compile=True, sizes=sizes),
        "muon by heads": our_training(packed_corpus, by_heads, WARMUP, steps, compile=True, sizes=sizes),
        "nanogpt": rival_speed(nanogpt_style(sizes.shape), tokens, WARMUP, steps, sizes),
        "adamw": our_training(packed_corpus, adamw, WARMUP, steps, compile=True, sizes=sizes),
        "transformers": rival_speed(transformers_style(sizes.shape), tokens, WARMUP, steps, sizes),
        "adamw, eager": our_training(packed_corpus, adamw, WARMUP, steps, sizes=sizes),
    }
    torch.set_num_threads(available_cores())
    rates = rates_in_turn(workers, ROUNDS)
    ratios = {
        f"{ours} over {rival}": median_ratio(rates[ours], rates[rival])
        for ours in ("adamw", "adamw, no document mask", "adamw, eager", "muon", "muon by heads")
        for rival in ("nanogpt", "transformers")
    }
    show(f"Training at {name} parameters, tokens/s of ours over theirs", ratios)
    for ours, (over_nanogpt, over_transformers) in LEAST[name].items():
        assert ratios[f"{ours} over nanogpt"] >= over_nanogpt
        assert ratios[f"{ours} over transformers"] >= over_transformers
