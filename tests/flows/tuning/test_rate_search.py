"""The search for learning rates: it goes downhill, asks for a round at once, and moves nothing for less than noise."""

import math
from collections.abc import Callable, Sequence

import pytest
from pydantic import ValidationError

from flows.recipe.trial_config import TuneConfig
from flows.tuning.rate_search import Rates, search_rates

RATES = {"muon_lr": 0.03, "head_lr": 0.01}
CONFIG = TuneConfig(rates=("muon_lr", "head_lr"), rounds=9)


def bowl(best: Rates, scale: float = 1.0, asked: list[int] | None = None) -> Callable[[Sequence[Rates]], list[float]]:
    """Losses that grow with the square of each rate's distance from `best`, in factors of two."""

    def losses(choices: Sequence[Rates]) -> list[float]:
        if asked is not None:
            asked.append(len(choices))
        return [3 + scale * sum(math.log2(one[name] / best[name]) ** 2 for name in best) for one in choices]

    return losses


def test_it_finds_the_lowest_point() -> None:
    found = search_rates(RATES, CONFIG, bowl({"muon_lr": 0.03 * 4, "head_lr": 0.01 / 8}))
    assert found == pytest.approx({"muon_lr": 0.12, "head_lr": 0.00125})


def test_a_round_asks_for_both_ways_of_every_rate_at_once_and_then_for_all_moves_together() -> None:
    asked: list[int] = []
    search_rates(RATES, CONFIG, bowl({"muon_lr": 0.06, "head_lr": 0.02}, asked=asked))
    assert asked == [5, 1, 5]


def test_less_than_noise_moves_nothing() -> None:
    assert search_rates(RATES, CONFIG, bowl({"muon_lr": 0.06, "head_lr": 0.02}, scale=0.02)) == RATES


def test_moves_that_help_alone_and_not_together_are_made_one_after_another() -> None:
    def losses(choices: Sequence[Rates]) -> list[float]:
        steps = ([math.log2(one[name] / RATES[name]) for name in RATES] for one in choices)
        return [3 + abs(muon + head - 1) + 0.1 * abs(head) for muon, head in steps]

    assert search_rates(RATES, CONFIG, losses) == {"muon_lr": 0.06, "head_lr": 0.01}


def test_rates_that_diverge_are_left_alone_and_left_behind() -> None:
    def losses(choices: Sequence[Rates]) -> list[float]:
        return [math.inf if one["muon_lr"] >= 0.03 else 3.0 for one in choices]

    assert search_rates(RATES, CONFIG, losses) == {"muon_lr": 0.015, "head_lr": 0.01}
    assert search_rates(RATES, CONFIG, lambda choices: [math.inf for _ in choices]) == RATES


def test_rounds_end_the_search() -> None:
    found = search_rates(RATES, TuneConfig(rates=("muon_lr",), rounds=2), bowl({"muon_lr": 0.03 * 64}))
    assert found == {"muon_lr": 0.12, "head_lr": 0.01}


def test_a_rate_that_no_optimizer_has_is_refused() -> None:
    with pytest.raises(ValidationError, match="rates"):
        TuneConfig.model_validate({"rates": ["momentum"]})
