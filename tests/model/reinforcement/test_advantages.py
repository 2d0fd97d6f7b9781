"""Advantages beside values worked out by hand, and those that TRL 1.16.0 gives."""

import math

import numpy as np
import pytest

from model.reinforcement.advantages import group_advantages


def test_golden_vectors() -> None:
    rewards = np.array([[1.0, 0, 0, 0], [2, 4, 4, 6]])
    assert group_advantages(rewards, scale_by_deviation=False).tolist() == [[0.75, -0.25, -0.25, -0.25], [-2, 0, 0, 2]]
    scaled = group_advantages(rewards, scale_by_deviation=True)
    # Deviations of the samples: 1/2 and the root of 8/3.
    assert scaled[0] == pytest.approx([0.75 / 0.5001, *[-0.25 / 0.5001] * 3], rel=1e-12)
    assert scaled[1] == pytest.approx([-2 / (math.sqrt(8 / 3) + 1e-4), 0, 0, 2 / (math.sqrt(8 / 3) + 1e-4)], rel=1e-12)


@pytest.mark.parametrize("scale", [True, False])
def test_equal_rewards_teach_nothing(scale: bool) -> None:
    # The mean of seven times 0.1 is not 0.1 in floating point.
    assert (group_advantages(np.full((2, 7), 0.1), scale) == 0).all()


@pytest.mark.parametrize("scale", [True, False])
def test_a_reply_without_a_reward_is_no_member_of_its_group(scale: bool) -> None:
    found = group_advantages(
        np.array([[1.0, math.nan, 0, 0.5], [math.nan] * 4, [math.nan, 1, math.nan, math.nan]]), scale
    )
    assert found[0, [0, 2, 3]] == pytest.approx(group_advantages(np.array([[1.0, 0, 0.5]]), scale)[0])
    assert found[0, 1] == 0 and (found[1:] == 0).all()
