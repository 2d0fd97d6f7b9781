"""95% intervals of what was measured on a sample of items. Needs no torch.

Notable: shares of right answers have Wilson's interval, which keeps its promise near 0 and 1 and for few items; all
else has the percentiles of a bootstrap over items, seeded, so that the same rows give the same interval.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Z = 1.959963984540054
"""Standard deviations that hold 95% of a normal distribution."""
_SEED = 0


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """Return the interval of a share (Wilson 1927, equation 4), given how many of `n` items were right."""
    share, squared = right / n, Z * Z / n
    middle = (share + squared / 2) / (1 + squared)
    reach = Z / (1 + squared) * math.sqrt(share * (1 - share) / n + squared / (4 * n))
    return (middle - reach if right else 0.0), (middle + reach if right < n else 1.0)


def bootstrap_interval(
    n: int, statistic: Callable[[npt.NDArray[np.int64]], float], resamples: int = 1000
) -> tuple[float, float]:
    """Return the 2.5th and 97.5th percentile of `statistic` over `resamples` draws of `n` items with replacement.

    `statistic` gets the numbers of the drawn items (Efron and Tibshirani 1993, section 13.3).
    """
    draws = np.random.default_rng(_SEED)
    found = [statistic(draws.integers(0, n, n)) for _ in range(resamples)]
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the interval of a mean: Wilson's where all values are 0 or 1, else the bootstrap's."""
    if set(values) <= {0.0, 1.0}:
        return wilson_interval(int(sum(values)), len(values))
    array = np.asarray(values, dtype=np.float64)
    return bootstrap_interval(len(values), lambda drawn: float(array[drawn].mean()))
