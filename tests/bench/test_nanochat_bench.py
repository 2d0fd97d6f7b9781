"""Our pretraining beside nanochat's on the same batches: held-out loss at equal tokens and parameters.

Notable: nanochat is fetched by whoever measures (`git clone https://github.com/karpathy/nanochat`), and NANOCHAT names
the checkout; 92d63d4 is the commit that this was written for.
"""

import dataclasses
import os
from pathlib import Path
from statistics import fmean

import pytest

from model.base.config import LoopConfig
from model.base.learning_config import OptimizerConfig, ScheduleConfig
from model.base.sizes import ModelShape
from model.metrics.flops import count_parameters
from tests.bench.held_out_training import held_out_loss
from tests.bench.nanochat_training import nanochat_held_out_loss, nanochat_model
from tests.bench.packed_corpus import TWELVE_MILLION, TWO_MILLION, Sizes
from tests.bench.side_by_side import show

SEEDS = (1, 2, 3)
EPOCH = 383
"""Steps of 16 sequences over the crawl's 6,132."""


@pytest.mark.bench
@pytest.mark.timeout(0)
@pytest.mark.parametrize("epochs", [0.5, 1.0])
@pytest.mark.parametrize("named", ["2M", "12M"])
def test_the_loss_of_nanochat_at_equal_tokens_and_parameters(
    crawl_tokens: tuple[Path, Path], named: str, epochs: float
) -> None:
    if "NANOCHAT" not in os.environ:
        pytest.skip("NANOCHAT names no checkout of nanochat")
    checkout = Path(os.environ["NANOCHAT"])
    tokens, packing = crawl_tokens
    given = {"2M": TWO_MILLION, "12M": TWELVE_MILLION}[named]
    # One vocabulary for both sizes, that of the corpus; and a head of its own, as both have.
    shape = dataclasses.replace(given.shape, vocab_size=TWO_MILLION.shape.vocab_size, tied_embeddings=False)
    sizes = Sizes(shape, TWO_MILLION.sequences)
    ours = as_large_as(shape, sum(weight.numel() for weight in nanochat_model(checkout, sizes).parameters()))
    steps = round(epochs * EPOCH)

    def loss(seed: int, steps: int) -> float:
        loop = LoopConfig(steps=steps, global_batch_size=sizes.sequences, seed=seed, evaluation_documents=0)
        return held_out_loss(tokens, packing, ours, loop, OptimizerConfig(), ScheduleConfig(warmup_steps=10))

    found = {
        "nanochat": fmean(nanochat_held_out_loss(checkout, tokens, packing, sizes, steps, seed) for seed in SEEDS),
        "ours": fmean(loss(seed, steps) for seed in SEEDS),
        "ours, 90% of the tokens": fmean(loss(seed, round(0.9 * steps)) for seed in SEEDS),
    }
    show(f"Held-out loss, nats a token: {named}, epochs: {epochs:g}", found)
    assert found["ours"] <= 1.03 * found["nanochat"]


def as_large_as(shape: ModelShape, parameters: int) -> ModelShape:
    """The shape with a feed-forward part of such a width that it has about as many parameters."""
    wider = (parameters - count_parameters(shape).total) / (3 * shape.layers * shape.hidden_size)
    return dataclasses.replace(shape, intermediate_size=16 * round((shape.intermediate_size + wider) / 16))
