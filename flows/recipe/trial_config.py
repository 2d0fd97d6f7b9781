"""The sections of a recipe for trainings beside the run: the ladder's models, and the search for learning rates."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tasks.base.config import Config

RateName = Literal["muon_lr", "lr", "norm_lr", "embedding_lr", "head_lr"]


class LadderConfig(Config):
    """The series of small models that `sluice ladder` trains. Every size is trained on every number of tokens."""

    sizes: tuple[float, ...] = (0.25, 0.375, 0.5, 0.75)
    """Fractions of the recipe's depth and width; parameters go with the cube."""
    tokens_per_parameter: tuple[float, ...] = (5.0, 10.0, 20.0, 40.0)
    """Tokens that each model is trained on, for each of its parameters."""
    max_epochs: float = Field(default=4.0, gt=0)
    """Times that a model may see the corpus; one that needs more is left out. Up to four, repeated tokens are worth
    about as much as new ones (arXiv:2305.16264)."""

    @model_validator(mode="after")
    def _is_positive(self) -> Self:
        if not all(value > 0 for value in (*self.sizes, *self.tokens_per_parameter)):
            raise ValueError("sizes and tokens_per_parameter must be above 0")
        return self


class TuneConfig(Config):
    """The rate search of `sluice tune`: short trainings of the recipe's own model, which a run does not make. A round
    has two for each rate, one up and one down, and one with all moves that paid; each as often as there are seeds. The
    best is then compared with the recipe's own rates on seeds that did not choose it."""

    rates: tuple[RateName, ...] = ("muon_lr", "embedding_lr", "head_lr", "norm_lr")
    """Fields of `pretrain.optimizer` that are searched; with `adamw`, `lr` in place of `muon_lr`."""
    steps: int = Field(default=100, ge=1)
    """Optimizer steps of each training: the slice of the corpus that a model sees. Warmup shortens with them."""
    factor: float = Field(default=2.0, gt=1)
    """How far a rate is moved, up and down."""
    rounds: int = Field(default=3, ge=1)
    """Rounds at most; the search ends before where no move helps."""
    seeds: int = Field(default=1, ge=1)
    """Trainings of each choice of rates, whose losses are averaged."""
    least_gain: float = Field(default=0.03, ge=0)
    """A rate is moved where the held-out loss falls by this much, in nats a token; less is noise of one seed
    (measured at two million parameters after a hundred steps)."""
    fresh_seeds: int = Field(default=2, ge=0)
    """Trainings of the recipe's own rates, and of the best that were found, with other seeds than the search had: the
    best of many choices is in part the luckiest one. The recipe's rates stay unless the others are better on these too;
    with 0, what was found is believed."""
    parallel: int = Field(default=1, ge=1)
    """Trainings at once: on a CPU they share its cores, on one GPU as many as its memory holds."""
