"""A scaling law fitted to the losses of a ladder's models, by the Chinchilla paper's approach 3, with its uncertainty.

Notable:
- The Huber loss of log residuals is minimised by L-BFGS (arXiv:2203.15556, equation 10 and appendix D.3). Its starting
  points are the best of a grid of powers, for each of which the law is linear and solved directly.
- During the fit, sizes and tokens are divided by their geometric means; otherwise a scale and its power are correlated.
- The uncertainty comes from fits to resampled models (bootstrap) with a fixed seed: the same ladder gives the same law.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, nnls
from threadpoolctl import threadpool_limits

from flows.planning.ladder_result import POWERS, LadderPoint, LawFit
from flows.planning.scaling_law import ScalingLaw
from tasks.base.errors import PermanentError

HUBER_WIDTH = 1e-3
"""Log residual beyond which the loss grows linearly, as in the paper."""
RESAMPLES = 100
_POWERS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 1.2, 1.6)
_STARTS = 6
_LEAST_POINTS, _LEAST_DISTINCT = 6, 3
Floats = npt.NDArray[np.float64]


def fit_law(points: Sequence[LadderPoint], source: str) -> LawFit:
    """Return the law that fits best. Raises `PermanentError` if there are too few models for five constants."""
    _refuse_too_few(points)
    sizes, tokens, losses = (np.array([getattr(p, name) for p in points], float) for name in _FIELDS)
    scale = np.array([np.exp(np.log(sizes).mean()), np.exp(np.log(tokens).mean())])
    inputs = np.stack([sizes / scale[0], tokens / scale[1]])
    # The matrices are tiny: several threads would wait for each other, and take six times as long.
    with threadpool_limits(1):
        best = _minimised(inputs, losses, _starts(inputs, losses))
        draws = np.random.default_rng(0)
        resampled = []
        for _ in range(RESAMPLES):
            chosen = draws.integers(len(points), size=len(points))
            if all(len(np.unique(values[chosen])) >= _LEAST_DISTINCT for values in (sizes, tokens)):
                resampled.append(_law(_minimised(inputs[:, chosen], losses[chosen], [best]), points, scale, source))
    law = _law(best, points, scale, source)
    residuals = np.log(losses) - np.log([law.loss(p.parameters, p.tokens) for p in points])
    return LawFit(
        law=law,
        points=len(points),
        root_mean_square_residual=float(np.sqrt(np.mean(residuals**2))),
        intervals={name: _interval([getattr(one, name) for one in resampled]) for name in _CONSTANTS if resampled},
    )


_FIELDS = ("parameters", "tokens", "loss")
_CONSTANTS = ("floor", "parameter_scale", "parameter_power", "token_scale", "token_power")


def _refuse_too_few(points: Sequence[LadderPoint]) -> None:
    sizes, tokens = len({point.parameters for point in points}), len({point.tokens for point in points})
    if len(points) < _LEAST_POINTS or sizes < _LEAST_DISTINCT or tokens < _LEAST_DISTINCT:
        raise PermanentError(
            f"A scaling law has five constants, and the ladder has {len(points)} models of {sizes} sizes on"
            f" {tokens} amounts of tokens: at least {_LEAST_POINTS} models of {_LEAST_DISTINCT} sizes on"
            f" {_LEAST_DISTINCT} amounts are needed. Add to ladder.sizes or ladder.tokens_per_parameter, raise"
            " ladder.max_epochs, or fetch more."
        )


def _starts(inputs: Floats, losses: Floats) -> list[Floats]:
    """Return the best points of a grid of powers, where floor and scales are a linear problem."""
    found = []
    for first in _POWERS:
        for second in _POWERS:
            columns = np.stack([np.ones_like(losses), inputs[0] ** -first, inputs[1] ** -second], axis=1)
            # Divided by the losses, so that relative residuals are minimised.
            scales, residual = nnls(columns / losses[:, None], np.ones_like(losses))
            logs = np.log(np.maximum(scales, 1e-3 * losses.min()))
            found.append((residual, np.array([*logs, first, second])))
    return [start for _, start in sorted(found, key=lambda each: each[0])[:_STARTS]]


def _minimised(inputs: Floats, losses: Floats, starts: Sequence[Floats]) -> Floats:
    bounds = [(-20.0, 20.0)] * 3 + [POWERS] * 2
    options = {"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-12}
    tried = [
        minimize(_objective, start, (inputs, losses), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        for start in starts
    ]
    return min(tried, key=lambda result: float(result.fun)).x


def _objective(at: Floats, inputs: Floats, losses: Floats) -> tuple[float, Floats]:
    """Return the mean Huber loss, in units of its width, and its gradient at (log floor, 2 log scales, 2 powers)."""
    logs = np.log(inputs)
    terms = np.stack([np.full_like(losses, np.exp(at[0])), *np.exp(at[1:3, None] - at[3:, None] * logs)])
    predicted = terms.sum(0)
    residuals = (np.log(predicted) - np.log(losses)) / HUBER_WIDTH
    near = np.abs(residuals) <= 1
    loss = np.where(near, residuals**2 / 2, np.abs(residuals) - 0.5)
    slope = np.where(near, residuals, np.sign(residuals)) / HUBER_WIDTH / len(losses)
    shares = terms / predicted * slope
    return float(loss.mean()), np.array([*shares.sum(1), *(-shares[1:] * logs).sum(1)])


def _law(at: Floats, points: Sequence[LadderPoint], scale: Floats, source: str) -> ScalingLaw:
    sizes, tokens = [point.parameters for point in points], [point.tokens for point in points]
    return ScalingLaw(
        name="ladder",
        source=source,
        floor=float(np.exp(at[0])),
        parameter_scale=float(np.exp(at[1]) * scale[0] ** at[3]),
        parameter_power=float(at[3]),
        token_scale=float(np.exp(at[2]) * scale[1] ** at[4]),
        token_power=float(at[4]),
        parameters_seen=(min(sizes), max(sizes)),
        tokens_seen=(min(tokens), max(tokens)),
    )


def _interval(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.percentile(values, [10, 90])
    return float(low), float(high)
