"""The ladder section of a recipe."""

from typing import Self

from pydantic import Field, model_validator

from tasks.base.config import Config


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
