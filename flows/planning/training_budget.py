"""The budget of a plan: FLOP, or GPUs for a time; and the assumptions it is made under.

Notable: without a budget, the recipe is planned as it stands.
"""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from flows.planning.hardware import find_gpu
from flows.planning.scaling_law import PUBLISHED_LAWS
from model.metrics.gpus import Gpu
from tasks.base.config import Config
from tasks.base.errors import UsageError

_ASSUMED_MFU = 0.4
_ASSUMED = "assumed; 0.33 to 0.39 are reported for 8B models on H100 without fp8 (torchtitan's benchmarks): --mfu"
LAWS = (*PUBLISHED_LAWS, "ladder")


class TrainingBudget(Config):
    """What may be spent, on what, and what is assumed."""

    gpu: str | None = None
    """A name in the table of GPUs, or `400TFLOP/s,48GiB`."""
    gpus: int = Field(default=1, ge=1)
    """How many of them."""
    hours: float | None = Field(default=None, gt=0)
    """For how long, in hours."""
    flops: float | None = Field(default=None, gt=0)
    """FLOP of training; instead of hours."""
    tokens_per_parameter: float | None = Field(default=None, gt=0)
    """How many tokens each parameter gets; None: what the law finds best."""
    law: str | None = None
    """Name of the scaling law; None takes that of this store's ladder, if it reaches far enough, else the first
    published one."""
    mfu: float | None = Field(default=None, gt=0, le=1)
    """Share of the GPU's peak that training reaches; None: as measured on it at about the model's size, else 0.4."""
    price: float | None = Field(default=None, ge=0)
    """US dollars for a GPU-hour; None takes the table's."""
    epochs: float = Field(default=1.0, gt=0)
    """Times that each token is seen, which divides the tokens to fetch."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.hours and self.flops:
            raise UsageError("--hours and --flops are two ways to say the same: give one of them.")
        if not self.gpu and (self.hours or self.gpus > 1):
            raise UsageError("--hours and --gpus need --gpu, such as --gpu h100.")
        if self.tokens_per_parameter and not self.is_given:
            raise UsageError("--tokens-per-parameter divides a budget: give --flops, or --gpu with --hours.")
        if self.law is not None and self.law not in LAWS:
            raise UsageError(f"--law: there is no law {self.law!r}; there are: {', '.join(LAWS)}.")
        return self

    @property
    def is_given(self) -> bool:
        """Whether there is an amount to spend."""
        return self.hours is not None or self.flops is not None

    @property
    def hardware(self) -> Gpu | None:
        """The GPU. Raises `UsageError` where it is not known."""
        return find_gpu(self.gpu) if self.gpu else None

    def reached_mfu(self, parameters: float) -> tuple[float, str]:
        """Return the share of the GPU's peak that a model of this size reaches, and how that is known."""
        if self.mfu is not None:
            return self.mfu, "as given"
        measured = self.hardware.measured_mfu(parameters) if self.hardware else None
        return (measured, "measured at about this size, docs/gpu.md") if measured else (_ASSUMED_MFU, _ASSUMED)

    def amount(self, mfu: float) -> float:
        """Return the FLOP of training that the budget buys at an MFU."""
        if self.flops is not None:
            return self.flops
        gpu = self.hardware
        assert gpu and self.hours
        return self.gpus * gpu.flop_per_second * mfu * self.hours * 3600

    def in_words(self) -> str:
        """Return what is spent, as a title."""
        if self.flops is not None:
            return f"{self.flops:.3g} FLOP"
        return f"{self.gpus} x {self.gpu} for {self.hours:g} h" if self.hours else "the recipe as it stands"


def training_budget(given: Mapping[str, Any]) -> TrainingBudget:
    """Make a budget of the command line's options (None: not given). Raises `UsageError` for a wrong one."""
    try:
        return TrainingBudget.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        said = [
            f"--{str(one['loc'][0]).replace('_', '-')}: {one['msg']} (it is {one['input']})" for one in error.errors()
        ]
        raise UsageError("\n".join(said)) from error
