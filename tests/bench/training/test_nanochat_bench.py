"""Our pretraining beside nanochat's on the same batches: held-out loss at equal tokens and parameters, and tokens/s.

Notable: nanochat is fetched by whoever measures (`git clone https://github.com/karpathy/nanochat`), and NANOCHAT names
the checkout; 92d63d4 is the commit that this was written for. Ours learns as the recipe `first-crawl` has it.
"""

import dataclasses
import os
from pathlib import Path
from statistics import fmean

import pytest
import torch

from flows.recipe.loading import load_recipe
from model.base.config import LoopConfig, PretrainSection
from model.base.device import available_cores
from model.base.sizes import ModelShape
from model.metrics.flops import count_parameters
from tests.bench.side_by_side import median_ratio, rates_in_turn, show
from tests.bench.training.held_out_training import held_out_loss
from tests.bench.training.nanochat_training import nanochat_held_out_loss, nanochat_model, nanochat_speed
from tests.bench.training.our_training import our_training
from tests.bench.training.packed_corpus import TWELVE_MILLION, TWO_MILLION, Sizes, untied

SEEDS = (1, 2, 3)
EPOCH = 399
"""Steps of 16 sequences over the crawl's 6,385."""
SIZES = {"2M": TWO_MILLION, "12M": TWELVE_MILLION}
WARMUP, STEPS, ROUNDS = 1, 3, 5


@pytest.mark.bench
@pytest.mark.timeout(0)
@pytest.mark.parametrize("epochs", [0.5, 1.0])
@pytest.mark.parametrize("named", SIZES)
def test_the_loss_of_nanochat_at_equal_tokens_and_parameters(
    crawl_tokens: tuple[Path, Path], named: str, epochs: float
) -> None:
    checkout = nanochat_checkout()
    tokens, packing = crawl_tokens
    sizes = untied(SIZES[named])
    ours = as_large_as_nanochat(checkout, sizes)
    steps, first_crawl = round(epochs * EPOCH), _first_crawl()

    def loss(seed: int, steps: int) -> float:
        loop = LoopConfig(steps=steps, global_batch_size=sizes.sequences, seed=seed, evaluation_documents=0)
        return held_out_loss(tokens, packing, ours, loop, first_crawl.optimizer, first_crawl.schedule)

    found = {
        "nanochat": fmean(nanochat_held_out_loss(checkout, tokens, packing, sizes, steps, seed) for seed in SEEDS),
        "ours": fmean(loss(seed, steps) for seed in SEEDS),
        "ours, 90% of the tokens": fmean(loss(seed, round(0.9 * steps)) for seed in SEEDS),
    }
    show(f"Held-out loss, nats a token: {named}, epochs: {epochs:g}", found)
    assert found["ours, 90% of the tokens"] <= found["nanochat"]


@pytest.mark.bench
@pytest.mark.timeout(0)
@pytest.mark.parametrize("named", SIZES)
def test_tokens_per_second_beside_nanochat(packed_corpus: Path, named: str) -> None:
    """Models of as many parameters; nanochat eager, since whole blocks compiled are slower on a CPU (docs/log.md)."""
    checkout = nanochat_checkout()
    sizes = untied(SIZES[named])
    ours = Sizes(as_large_as_nanochat(checkout, sizes), sizes.sequences)
    optimizer = _first_crawl().optimizer
    workers = {
        "compiled": our_training(packed_corpus, optimizer, WARMUP, STEPS, compile=True, sizes=ours),
        "nanochat": nanochat_speed(checkout, packed_corpus, WARMUP, STEPS, sizes),
        "eager": our_training(packed_corpus, optimizer, WARMUP, STEPS, sizes=ours),
    }
    torch.set_num_threads(available_cores())
    rates = rates_in_turn(workers, ROUNDS)
    ratios = {f"ours, {way}": median_ratio(rates[way], rates["nanochat"]) for way in ("compiled", "eager")}
    show(f"Training at {named}, tokens/s of ours over nanochat's, eager", ratios)
    assert ratios["ours, eager"] >= 1.0


def _first_crawl() -> PretrainSection:
    section = load_recipe("first-crawl").pretrain
    assert section is not None
    return section


def nanochat_checkout() -> Path:
    """The folder that NANOCHAT names; the test is skipped where it names none."""
    if "NANOCHAT" not in os.environ:
        pytest.skip("NANOCHAT names no checkout of nanochat")
    return Path(os.environ["NANOCHAT"])


def as_large_as_nanochat(checkout: Path, sizes: Sizes) -> ModelShape:
    """Our shape with as many parameters as nanochat's model of the same depth and width."""
    return as_large_as(sizes.shape, sum(weight.numel() for weight in nanochat_model(checkout, sizes).parameters()))


def as_large_as(shape: ModelShape, parameters: int) -> ModelShape:
    """The shape with a feed-forward part of such a width that it has about as many parameters."""
    wider = (parameters - count_parameters(shape).total) / (3 * shape.layers * shape.hidden_size)
    return dataclasses.replace(shape, intermediate_size=16 * round((shape.intermediate_size + wider) / 16))
