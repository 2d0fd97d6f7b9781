"""Sampling filters, and generation alone and in company."""

import pytest
import torch

from model.base.errors import BadInput
from model.inference.generation import Sampling, choose, filter_logits, generate, generate_stream
from tests.model.network.test_transformer import random_model

PROBABILITIES = torch.tensor([[0.1, 0.5, 0.05, 0.3, 0.05], [0.2, 0.2, 0.2, 0.2, 0.2]])


def kept(top_k: int, top_p: float) -> list[list[int]]:
    """Which tokens may still be drawn, for each row."""
    filtered = filter_logits(PROBABILITIES.log(), top_k, top_p)
    return [torch.isfinite(row).nonzero().flatten().tolist() for row in filtered]


def test_top_k_keeps_the_likeliest() -> None:
    assert kept(2, 1.0)[0] == [1, 3]
    assert kept(0, 1.0) == [[0, 1, 2, 3, 4]] * 2
    assert kept(99, 1.0)[0] == [0, 1, 2, 3, 4]


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    assert kept(0, 0.5)[0] == [1]
    assert kept(0, 0.51)[0] == [1, 3]
    assert kept(0, 0.85)[0] == [0, 1, 3]
    assert kept(0, 1e-9)[0] == [1], "the likeliest always stays"
    assert len(kept(0, 0.55)[1]) == 3
    assert kept(1, 0.9)[0] == [1]


def test_draws_follow_the_filtered_probabilities() -> None:
    logits = PROBABILITIES[:1].log().expand(20_000, -1)
    draws = torch.Generator().manual_seed(0)
    shares = choose(logits, Sampling(temperature=1.0, top_k=2), draws).bincount(minlength=5) / 20_000
    assert shares.tolist() == pytest.approx([0, 0.625, 0, 0.375, 0], abs=0.02)
    hot = choose(logits, Sampling(temperature=2.0), draws).bincount(minlength=5) / 20_000
    expected = PROBABILITIES[0].sqrt() / PROBABILITIES[0].sqrt().sum()
    assert hot.tolist() == pytest.approx(expected.tolist(), abs=0.02)


def test_greedy_equals_full_passes_and_does_not_depend_on_the_batch() -> None:
    model = random_model()
    prompts = [[5], [7, 8, 9, 10, 11, 12], [3, 4]]
    together = generate(model, prompts, Sampling(max_new_tokens=12), stop_tokens=())
    for prompt, reply in zip(prompts, together, strict=True):
        ids = list(prompt)
        for _ in range(12):
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
        assert reply == ids[len(prompt) :]
        assert generate(model, [prompt], Sampling(max_new_tokens=12), ()) == [reply]


def test_a_stop_token_ends_one_reply_and_not_the_others() -> None:
    model = random_model()
    prompts = [[5], [7, 8, 9]]
    free = generate(model, prompts, Sampling(max_new_tokens=10), ())
    stop = next(token for token in free[0] if token not in free[1])
    stopped = generate(model, prompts, Sampling(max_new_tokens=10), {stop})
    assert stopped == [free[0][: free[0].index(stop)], free[1]]


def test_seeds_decide_the_draws() -> None:
    model = random_model()
    once, again, other = (
        generate(model, [[5, 6]], Sampling(temperature=1.5, max_new_tokens=20, seed=seed), ()) for seed in (1, 1, 2)
    )
    assert once == again != other


def test_generation_ends_where_the_context_ends() -> None:
    model = random_model()
    context = model.shape.context
    replies = generate(model, [[1] * (context - 3), [1] * 4], Sampling(max_new_tokens=context * 2), ())
    assert [len(reply) for reply in replies] == [3, context - 4]
    with pytest.raises(BadInput, match=f"prompt 1 has {context} tokens"):
        list(generate_stream(model, [[1], [1] * context], Sampling(), ()))
    with pytest.raises(BadInput, match="prompt 0 has 0 tokens"):
        generate(model, [[]], Sampling(), ())


@pytest.mark.parametrize("temperature", [0.0, 5e-324, 1e-300, 1e-45, 1e-40, 1e-38, 1e-30, 1e-9])
def test_a_tiny_temperature_takes_the_likeliest(temperature: float) -> None:
    logits = torch.tensor([[5.0, 20.0, 10.0], [-1e30, 1e30, 0.0]])
    chosen = choose(logits, Sampling(temperature=temperature, top_k=2, top_p=0.9), torch.Generator())
    assert chosen.tolist() == [1, 1]


def test_a_huge_temperature_draws_evenly() -> None:
    draws = torch.Generator().manual_seed(0)
    logits = torch.tensor([[5.0, 20.0, 10.0]]).expand(3000, -1)
    shares = choose(logits, Sampling(temperature=1e300), draws).bincount(minlength=3) / 3000
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.03)


@pytest.mark.parametrize("seed", [0, 2**63, 2**64 - 1])
def test_every_seed_that_is_accepted_can_be_drawn_from(seed: int) -> None:
    assert generate(random_model(), [[5]], Sampling(temperature=1.0, max_new_tokens=2, seed=seed), ()) != [[]]


@pytest.mark.parametrize("seed", [-1, -(2**63), 2**64, 10**30])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(BadInput, match="seed must be between 0 and 18446744073709551615"):
        Sampling(seed=seed)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.01},
        {"top_p": float("nan")},
        {"max_new_tokens": 0},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="top-p must be above 0"):
        Sampling(**wrong)  # type: ignore[arg-type]
