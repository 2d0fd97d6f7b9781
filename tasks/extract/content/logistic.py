"""The logistic function, the same on every machine: from exactly rounded operations only.

Notable: numpy's `exp` differs between processors in the last bit.
"""

import numpy as np
import numpy.typing as npt

Float64s = npt.NDArray[np.float64]


def logistic(values: Float64s) -> Float64s:
    """1 / (1 + e**-x), to 1e-15, by additions, multiplications and divisions only."""
    size = np.minimum(np.abs(values), 700.0)
    halvings = np.floor(size * 1.4426950408889634 + 0.5)  # size / ln 2, rounded
    rest = (size - halvings * 0.693147180369123816490) - halvings * 1.90821492927058770002e-10
    power = np.ones_like(rest)
    for k in range(14, 0, -1):  # Taylor's series of e**-rest, |rest| <= 0.35
        power = 1.0 - power * rest / k
    shrunk = np.ldexp(power, -halvings.astype(np.int64))  # e**-|x|
    return np.where(values >= 0, 1.0, shrunk) / (1.0 + shrunk)
