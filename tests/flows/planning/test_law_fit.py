"""Fitting a scaling law: it finds the law that points were made by, says how sure it is, and refuses too few."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.ladder import fitted
from flows.planning.ladder_result import LadderModel, LadderPoint
from flows.planning.law_fit import fit_law
from flows.planning.scaling_law import CHINCHILLA_REPLICATED, ScalingLaw
from tasks.base.errors import PermanentError

SIZES = (1e5, 3e5, 1e6, 3e6)
RATIOS = (2, 5, 12, 30)


def points(law: ScalingLaw, noise: float = 0.0, sizes: tuple[float, ...] = SIZES) -> list[LadderPoint]:
    draws = np.random.default_rng(3)
    return [
        LadderPoint(
            parameters=int(size),
            tokens=int(ratio * size),
            loss=law.loss(int(size), int(ratio * size)) * float(np.exp(noise * draws.normal())),
        )
        for size in sizes
        for ratio in RATIOS
    ]


def law_at(floor: float, first: float, second: float, *powers: float) -> ScalingLaw:
    """A law with the given terms at a model of a million parameters on ten million tokens."""
    return CHINCHILLA_REPLICATED.model_copy(
        update={
            "floor": floor,
            "parameter_scale": first * 1e6 ** powers[0],
            "parameter_power": powers[0],
            "token_scale": second * 1e7 ** powers[1],
            "token_power": powers[1],
        }
    )


@settings(max_examples=25, deadline=None)
@given(st.floats(0.5, 3), st.floats(0.1, 2), st.floats(0.1, 2), st.floats(0.15, 0.9), st.floats(0.15, 0.9))
def test_a_known_law_is_found_again(
    floor: float, first: float, second: float, parameter_power: float, token_power: float
) -> None:
    law = law_at(floor, first, second, parameter_power, token_power)
    found = fit_law(points(law), "made up")
    assert found.root_mean_square_residual < 1e-4
    for size, tokens in ((1e6, 1e7), (1e7, 2e8)):
        assert found.law.loss(size, tokens) == pytest.approx(law.loss(size, tokens), rel=0.01)


def test_the_constants_of_the_literature_are_found_again() -> None:
    found = fit_law(points(CHINCHILLA_REPLICATED, sizes=(7e7, 3e8, 1e9, 1e10)), "made up").law
    for name in ("floor", "parameter_scale", "parameter_power", "token_scale", "token_power"):
        assert getattr(found, name) == pytest.approx(getattr(CHINCHILLA_REPLICATED, name), rel=1e-3)


def test_a_fit_survives_noise_and_shows_it_in_the_intervals() -> None:
    law = law_at(1.0, 0.8, 0.6, 0.35, 0.35)
    sharp, blurred = (fit_law(points(law, noise), "made up") for noise in (1e-4, 2e-2))
    assert blurred.law.loss(1e6, 1e7) == pytest.approx(law.loss(1e6, 1e7), rel=0.03)
    assert blurred.root_mean_square_residual > 10 * sharp.root_mean_square_residual
    for name, (low, high) in blurred.intervals.items():
        assert high - low > sharp.intervals[name][1] - sharp.intervals[name][0]
    assert not sharp.is_loose


def test_a_law_of_models_that_hardly_differ_says_that_it_predicts_nothing() -> None:
    alike = points(law_at(1.0, 0.05, 0.05, 0.35, 0.35), 3e-2, sizes=(1e5, 1.2e5, 1.5e5))
    assert fit_law(alike, "made up").is_loose


def test_an_outlier_does_not_bend_the_law() -> None:
    """What the Huber loss is for."""
    law = law_at(1.0, 0.8, 0.6, 0.35, 0.35)
    spoilt = points(law, 1e-4)
    spoilt[5] = spoilt[5].model_copy(update={"loss": spoilt[5].loss * 1.3})
    assert fit_law(spoilt, "made up").law.loss(1e7, 1e8) == pytest.approx(law.loss(1e7, 1e8), rel=0.01)


def test_the_same_points_give_the_same_law() -> None:
    given_points = points(law_at(1.0, 0.8, 0.6, 0.35, 0.35), 1e-2)
    assert fit_law(given_points, "made up") == fit_law(given_points, "made up")


def test_too_few_models_are_refused_with_what_to_do() -> None:
    some = points(law_at(1.0, 0.8, 0.6, 0.35, 0.35))
    for few in (some[:5], some[:4] * 2):
        with pytest.raises(PermanentError, match=r"five constants.*ladder\.sizes"):
            fit_law(few, "made up")


def test_the_largest_model_is_held_back_and_predicted() -> None:
    law = law_at(1.0, 0.8, 0.6, 0.35, 0.35)
    models = [
        LadderModel(
            **point.model_dump(),
            layers=1,
            hidden_size=8,
            tokens_per_parameter=1.0,
            bits_per_byte=None,
            flop=6.0 * point.parameters * point.tokens,
            fingerprint="f",
        )
        for point in points(law)
    ]
    result = fitted("tiny", "CC", models, ["one that was too large"])
    assert result.check
    assert result.check.held_back.parameters == max(SIZES)
    assert result.check.held_back.tokens == max(SIZES) * max(RATIOS)
    assert result.check.fit.points == len(models) - 1 == result.fit.points - 1
    assert abs(result.check.error) < 1e-3
    assert "predicted its loss" in result.in_words()
