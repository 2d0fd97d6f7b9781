"""How much better a reply is than the others to its prompt (GRPO, arXiv:2402.03300, section 4.1.2).

Notable: a reply without a reward is no member of its group. Where all rewards of a group are equal, nothing can be
learnt from it, and every advantage is exactly 0.
"""

import warnings

import numpy as np
import numpy.typing as npt

_LEAST_DEVIATION = 1e-4
"""Added to a group's deviation (TRL's constant)."""

FloatArray = npt.NDArray[np.float64]


def group_advantages(rewards: FloatArray, scale_by_deviation: bool) -> FloatArray:
    """Return the advantages (groups, replies) of rewards of that shape, NaN where a reply has none.

    The deviation is that of a sample (n - 1). A reply without a reward has the advantage 0.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of groups without any reward
        best, worst = np.nanmax(rewards, 1, keepdims=True), np.nanmin(rewards, 1, keepdims=True)
        centred = rewards - np.nanmean(rewards, 1, keepdims=True)
        deviation = np.nanstd(rewards, 1, keepdims=True, ddof=1)
    scaled = centred / (deviation + _LEAST_DEVIATION) if scale_by_deviation else centred
    found: FloatArray = np.where(best > worst, np.nan_to_num(scaled, nan=0.0), 0.0)
    return found
