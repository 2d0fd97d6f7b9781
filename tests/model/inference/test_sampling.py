"""How tokens are chosen: filters, draws, and that neither depends on the other rows."""

import numpy as np
import pytest
import torch
from torch import Tensor

from model.inference.requests import SamplingOptions
from model.inference.sampling import Sampler, keep_top_k, keep_top_p, uniforms

PROBABILITIES = torch.tensor([[0.1, 0.5, 0.05, 0.3, 0.05], [0.2, 0.2, 0.2, 0.2, 0.2]])
CPU = torch.device("cpu")


def kept(logits: Tensor) -> list[list[int]]:
    """Which tokens may still be drawn, for each row."""
    return [torch.isfinite(row).nonzero().flatten().tolist() for row in logits]


def top_p(share: float) -> list[list[int]]:
    """What top-p leaves of `PROBABILITIES`."""
    return kept(keep_top_p(PROBABILITIES.log(), torch.full((2, 1), share)))


def choose(logits: Tensor, draws: int = 1, **options: float) -> Tensor:
    """The tokens of so many requests with equal logits and seeds of their own."""
    asked = [SamplingOptions(seed=seed, **options) for seed in range(draws)]  # type: ignore[arg-type]
    return torch.tensor(Sampler(asked, CPU).choose(logits.expand(draws, -1), [0] * draws))


def test_top_k_keeps_the_likeliest() -> None:
    logits = PROBABILITIES[:1].log().expand(4, -1)
    assert kept(keep_top_k(logits, [2, 0, 99, 1])) == [[1, 3], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [1]]


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    assert top_p(0.5)[0] == [1]
    assert top_p(0.51)[0] == [1, 3]
    assert top_p(0.85)[0] == [0, 1, 3]
    assert top_p(1e-9) == [[1], [0]], "the likeliest always stays"
    assert top_p(0.55)[1] == [0, 1, 2]


def test_min_p_keeps_what_is_likely_enough_beside_the_likeliest() -> None:
    assert set(choose(PROBABILITIES[:1].log(), 500, temperature=1.0, min_p=0.19).tolist()) == {0, 1, 3}
    assert set(choose(PROBABILITIES[:1].log(), 500, temperature=1.0, min_p=0.21).tolist()) == {1, 3}


def test_draws_follow_the_filtered_probabilities() -> None:
    logits = PROBABILITIES[:1].log()
    shares = choose(logits, 20_000, temperature=1.0, top_k=2).bincount(minlength=5) / 20_000
    assert shares.tolist() == pytest.approx([0, 0.625, 0, 0.375, 0], abs=0.02)
    hot = choose(logits, 20_000, temperature=2.0).bincount(minlength=5) / 20_000
    expected = PROBABILITIES[0].sqrt() / PROBABILITIES[0].sqrt().sum()
    assert hot.tolist() == pytest.approx(expected.tolist(), abs=0.02)


def test_the_numbers_of_one_request_are_even_and_independent() -> None:
    numbers = uniforms(np.full(20_000, 7, dtype=np.uint64), np.arange(20_000, dtype=np.uint64))
    assert np.histogram(numbers, 20, (0, 1))[0] / 1000 == pytest.approx(np.ones(20), abs=0.15)
    assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 0.03
    others = uniforms(np.full(20_000, 8, dtype=np.uint64), np.arange(20_000, dtype=np.uint64))
    assert abs(np.corrcoef(numbers, others)[0, 1]) < 0.03


def test_a_row_is_chosen_alike_in_any_company() -> None:
    draw = torch.Generator().manual_seed(0)
    options = [
        SamplingOptions(),
        SamplingOptions(temperature=0.8, seed=3),
        SamplingOptions(temperature=1.2, top_k=7, seed=2**64 - 1),
        SamplingOptions(temperature=1.0, top_p=0.8, repetition_penalty=1.5),
        SamplingOptions(temperature=1.0, min_p=0.05, seed=2**63),
        SamplingOptions(repetition_penalty=0.5),
    ]
    for made in range(50):
        logits = torch.randn(len(options), 300, generator=draw) * 3
        seen = torch.rand(len(options), 300, generator=draw) < 0.3
        together = Sampler(options, CPU).choose(logits, [made] * len(options), seen)
        for row, one in enumerate(options):
            alone = Sampler([one], CPU).choose(logits[row : row + 1], [made], seen[row : row + 1])
            assert alone == [together[row]], (made, row)


def test_the_penalty_is_that_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    logits, prompt = torch.tensor([[2.0, 1.9, -1.0, 0.5]]), [0, 2, 0]
    seen = torch.tensor([[True, False, True, False]])
    theirs = transformers.RepetitionPenaltyLogitsProcessor(1.3)(torch.tensor([prompt]), logits.clone())
    sampler = Sampler([SamplingOptions(repetition_penalty=1.3)], CPU)
    assert sampler.choose(logits, [0], seen) == theirs.argmax(-1).tolist() == [1]
    assert sampler.choose(-logits, [0], ~seen) == [2]


@pytest.mark.parametrize("temperature", [0.0, 5e-324, 1e-300, 1e-45, 1e-40, 1e-38, 1e-30, 1e-9])
def test_a_tiny_temperature_takes_the_likeliest(temperature: float) -> None:
    logits = torch.tensor([[5.0, 20.0, 10.0], [-1e30, 1e30, 0.0]])
    sampler = Sampler([SamplingOptions(temperature=temperature, top_k=2, top_p=0.9)] * 2, CPU)
    assert sampler.choose(logits, [0, 0]) == [1, 1]


def test_a_huge_temperature_draws_evenly() -> None:
    shares = choose(torch.tensor([[5.0, 20.0, 10.0]]), 3000, temperature=1e300).bincount(minlength=3) / 3000
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
