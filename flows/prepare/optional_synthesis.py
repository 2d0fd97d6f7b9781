"""Synthetic data that a recipe calls optional: left out of a run for which nobody names a generator."""

import dataclasses
import os

from flows.recipe.recipe import Recipe
from tasks.synthesis.config import CHAT_SETS
from tasks.synthesis.endpoint import URL_VARIABLE

NO_GENERATOR = (
    f"No generator is named ({URL_VARIABLE}, or synthesis.generator.export): no synthetic data is made, and nothing is "
    "trained on any."
)


def without_generator(recipe: Recipe) -> bool:
    """Return whether a recipe's synthetic data is optional and no generator is named, so that none is made."""
    synthesis = recipe.synthesis
    is_named = synthesis and (synthesis.generator.export or os.environ.get(URL_VARIABLE))
    return bool(synthesis and synthesis.optional and not is_named)


def without_synthesis(recipe: Recipe) -> Recipe:
    """Return `recipe` without its synthetic data and without what of its mixtures is made of it."""
    changes: dict[str, object] = {"synthesis": None}
    if recipe.mixture:
        others = {name: one for name, one in recipe.mixture.others.items() if not one.is_made_by_the_run}
        changes["mixture"] = recipe.mixture.model_copy(update={"others": others})
    if recipe.sft:
        kept = tuple(one for one in recipe.sft.mixture if one.conversations not in CHAT_SETS)
        changes["sft"] = dataclasses.replace(recipe.sft, mixture=kept)
    return recipe.model_copy(update=changes)
