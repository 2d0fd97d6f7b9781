"""Scaling laws: a model's loss from its parameters and tokens, and the best use of an amount of FLOP.

Notable: all of a model's parameters count, embeddings included, as in the Chinchilla paper. Its losses are those of its
own text and tokenizer; only a law measured on this corpus (`sluice ladder`) predicts the losses of a run here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from flows.planning.scaled_shape import scaled_shape
from model.base.sizes import ModelShape
from model.metrics.flops import count_parameters, flop_per_token
from tasks.base.config import Config
from tasks.base.errors import UsageError

_SMALLEST, _LARGEST, _STEP = 0.02, 60.0, 1.02


class ScalingLaw(Config):
    """L(N, D) = floor + parameter_scale / N^parameter_power + token_scale / D^token_power, in nats per token."""

    name: str
    source: str
    """Where the constants are from."""
    floor: float
    parameter_scale: float
    parameter_power: float
    token_scale: float
    token_power: float
    parameters_seen: tuple[float, float]
    """The smallest and the largest model that it was fitted to, in parameters."""
    tokens_seen: tuple[float, float]
    """The fewest and the most tokens that those were trained on."""

    def loss(self, parameters: float, tokens: float) -> float:
        """Return the predicted loss in nats per token."""
        return (
            self.floor
            + self.parameter_scale / parameters**self.parameter_power
            + self.token_scale / tokens**self.token_power
        )

    def beyond(self, parameters: float, tokens: float) -> str:
        """Say how far a model lies outside the range that the law was fitted to; "" inside it."""
        said = []
        for what, value, (low, high) in (
            ("parameters", parameters, self.parameters_seen),
            ("tokens", tokens, self.tokens_seen),
        ):
            if value < low:
                said.append(f"{low / value:,.3g} times fewer {what} than it was ever fitted to ({low:.2g})")
            elif value > high:
                said.append(f"{value / high:,.3g} times more {what} than it was ever fitted to ({high:.2g})")
        return "; ".join(said)


CHINCHILLA = ScalingLaw(
    name="chinchilla",
    source="Hoffmann et al. 2022, arXiv:2203.15556, approach 3 (equation 10), as printed",
    floor=1.69,
    parameter_scale=406.4,
    parameter_power=0.34,
    token_scale=410.7,
    token_power=0.28,
    parameters_seen=(70e6, 16e9),
    tokens_seen=(5e9, 500e9),
)
CHINCHILLA_REPLICATED = ScalingLaw(
    name="chinchilla-replicated",
    source="Besiroglu et al. 2024, arXiv:2404.10102: approach 3 fitted again to the data of arXiv:2203.15556",
    floor=1.8172,
    parameter_scale=482.01,
    parameter_power=0.3478,
    token_scale=2085.43,
    token_power=0.3658,
    parameters_seen=(70e6, 16e9),
    tokens_seen=(5e9, 500e9),
)
PUBLISHED_LAWS = {law.name: law for law in (CHINCHILLA_REPLICATED, CHINCHILLA)}
"""The laws that need no store; the first is the default."""


@dataclass(frozen=True)
class Allocation:
    """A model and its tokens."""

    shape: ModelShape
    tokens: int


def best_allocation(proportions: ModelShape, law: ScalingLaw, flop: float) -> Allocation:
    """Return the shape in these proportions, and its tokens, for which `law` predicts the lowest loss."""
    affordable = ((shape, flop / flop_per_token(shape)) for shape in _shapes(proportions))
    shape, tokens = min(affordable, key=lambda each: law.loss(count_parameters(each[0]).total, max(1.0, each[1])))
    return Allocation(shape, _at_least_one(tokens, flop))


def allocation_at_ratio(proportions: ModelShape, tokens_per_parameter: float, flop: float) -> Allocation:
    """Return the largest shape in these proportions that `flop` trains on this many tokens per parameter."""
    fitting = None
    for shape in _shapes(proportions):
        tokens = tokens_per_parameter * count_parameters(shape).total
        if fitting is None or tokens * flop_per_token(shape) <= flop:
            fitting = shape
    assert fitting is not None
    tokens = tokens_per_parameter * count_parameters(fitting).total
    return Allocation(fitting, _at_least_one(min(tokens, flop / flop_per_token(fitting)), flop))


def _shapes(proportions: ModelShape) -> Iterator[ModelShape]:
    """Yield shapes in these proportions, from tiny to far beyond any budget, about 6% of the parameters apart."""
    fraction, last = _SMALLEST, None
    while fraction < _LARGEST:
        shape = scaled_shape(proportions, fraction)
        if shape != last:
            yield shape
        fraction, last = fraction * _STEP, shape


def _at_least_one(tokens: float, flop: float) -> int:
    if tokens < 1:
        raise UsageError(f"A budget of {flop:.3g} FLOP does not train even the smallest model on one token; give more.")
    return int(tokens)
