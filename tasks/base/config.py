"""The base of every configuration model in a recipe.

Notable: a docstring under a field is its description, so the recipe's help, its JSON schema and the form that the
Prefect UI draws all say the same words; models are frozen, and a field that does not exist is refused by name.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A frozen, closed pydantic model whose field docstrings become its schema's descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
