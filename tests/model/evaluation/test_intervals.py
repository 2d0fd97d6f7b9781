"""95% intervals cover the truth in 95 of 100 samples."""

import numpy as np
import pytest

from model.evaluation.intervals import bootstrap_interval, mean_interval, wilson_interval


@pytest.mark.parametrize("n", [10, 30, 100, 1000])
def test_wilsons_interval_covers_the_share(n: int) -> None:
    draws = np.random.default_rng(n)
    shares = draws.uniform(0, 1, 8000)
    intervals = [wilson_interval(int(right), n) for right in draws.binomial(n, shares)]
    covers = [low <= share <= high for share, (low, high) in zip(shares, intervals, strict=True)]
    assert np.mean(covers) == pytest.approx(0.95, abs=0.01)


def test_wilsons_interval_is_the_published_one() -> None:
    assert wilson_interval(1, 10) == pytest.approx((0.01788, 0.40415), abs=1e-5)
    assert wilson_interval(0, 10)[0] == 0 and wilson_interval(10, 10)[1] == 1


def test_the_bootstrap_covers_the_mean_of_a_skewed_distribution() -> None:
    draws = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        sample = draws.exponential(2.0, 80)
        low, high = bootstrap_interval(80, lambda drawn, sample=sample: float(sample[drawn].mean()), 300)  # type: ignore[misc]
        covered += low <= 2.0 <= high
    assert covered / 300 == pytest.approx(0.94, abs=0.035)


def test_the_same_values_give_the_same_interval() -> None:
    values = [0.5, 1.5, 2.5, 9.0]
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval([0.0, 1.0, 1.0]) == wilson_interval(2, 3)
