"""The choice of runs: as many as make the expected F1 highest."""

import numpy as np
import pytest

from tasks.extract.content.choice import choose


def test_sure_runs_are_kept_and_the_rest_left() -> None:
    choice = choose(np.array([0.02, 0.97, 0.95, 0.01]), np.array([30, 100, 80, 40]))
    assert choice.is_kept.tolist() == [False, True, True, False]
    assert choice.score > 0.95


def test_where_nothing_is_sure_more_is_kept_and_the_score_is_low() -> None:
    choice = choose(np.array([0.3, 0.35, 0.1]), np.array([50, 50, 50]))
    assert choice.is_kept.tolist() == [True, True, False]
    assert choice.score == pytest.approx(2 * 32.5 / (100 + 37.5))


def test_runs_of_one_probability_are_kept_together() -> None:
    choice = choose(np.full(4, 0.9), np.array([10, 10, 10, 10]))
    assert choice.is_kept.all()


def test_a_page_without_words_gives_no_score() -> None:
    assert choose(np.array([0.5]), np.array([0])).score == 0
