"""The base of every configuration model in a recipe.

Notable: a docstring under a field is its description in the recipe's help, its JSON schema and the Prefect UI's form.
"""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A frozen, closed pydantic model whose field docstrings become its schema's descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)
