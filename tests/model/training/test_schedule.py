"""Golden learning-rate schedules."""

import itertools
from typing import Literal, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.base.learning_config import ScheduleConfig
from model.training.schedule import learning_rate_factor


def test_warmup_stable_decay() -> None:
    config = ScheduleConfig(warmup_steps=3, decay_fraction=0.4, final_fraction=0.1)
    factors = [learning_rate_factor(config, step, 10) for step in range(10)]
    assert factors == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 0.775, 0.55, 0.325])


def test_cosine() -> None:
    config = ScheduleConfig(name="cosine", warmup_steps=1, final_fraction=0.2)
    factors = [learning_rate_factor(config, step, 9) for step in range(9)]
    expected = [0.5, 1, 0.969552, 0.882843, 0.753073, 0.6, 0.446927, 0.317157, 0.230448]
    assert factors == pytest.approx(expected, abs=1e-6)


def test_linear() -> None:
    config = ScheduleConfig(name="linear", warmup_steps=2, final_fraction=0.2)
    factors = [learning_rate_factor(config, step, 10) for step in range(10)]
    assert factors == pytest.approx([1 / 3, 2 / 3, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3])


def test_without_warmup_and_decay_the_rate_is_constant() -> None:
    config = ScheduleConfig(decay_fraction=0.0)
    assert {learning_rate_factor(config, step, 7) for step in range(7)} == {1.0}


def test_no_step_has_a_rate_of_zero() -> None:
    names: tuple[Literal["warmup_stable_decay", "cosine", "linear"], ...] = ("warmup_stable_decay", "cosine", "linear")
    for name in names:
        config = ScheduleConfig(name=name, warmup_steps=2)
        assert all(learning_rate_factor(config, step, 50) > 0 for step in range(50))


@given(st.integers(1, 300), st.data())
def test_a_schedule_that_fits_reaches_its_peak_and_never_falls_off_a_cliff(steps: int, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(get_args(get_type_hints(ScheduleConfig)["name"])))
    schedule = ScheduleConfig(name, data.draw(st.integers(0, steps)), data.draw(st.floats(0, 1)))
    try:
        schedule.check_steps(steps)
    except ValueError:
        return
    rates = [learning_rate_factor(schedule, step, steps) for step in range(steps)]
    slope = 1 / max(1, round(schedule.decay_fraction * steps)) if name == "warmup_stable_decay" else 1.0
    assert max(rates) > 1 - 1.01 * slope, "rounding may take one step from the peak"
    if name == "warmup_stable_decay":
        assert all(before - after < 2.01 * slope for before, after in itertools.pairwise(rates))
