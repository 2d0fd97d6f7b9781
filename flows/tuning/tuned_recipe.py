"""The recipe that a rate search leaves: the one that was given, with the rates that were found."""

import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from flows.recipe.loading import apply_override
from flows.recipe.recipe_file import RecipeError, read_recipe_values
from flows.tuning.result import TuneResult


def require_free(path: Path) -> None:
    """Raise `RecipeError` where no file can be made: one that is there may hold what only its author knows."""
    if not path.absolute().parent.is_dir():
        raise RecipeError(f"{path} cannot be written: there is no folder {path.parent}.")
    if not os.access(path.absolute().parent, os.W_OK):
        raise RecipeError(f"{path} cannot be written: the folder {path.absolute().parent} is read-only; see --out.")
    if path.exists():
        raise RecipeError(f"{path} exists: give another file with --out, or move it.")


def tuned_recipe(name: str, overrides: Sequence[str], result: TuneResult) -> str:
    """Return the YAML of a recipe, as named and overridden, with the found rates; comments are not kept."""
    _, values = read_recipe_values(name)
    for override in overrides:
        apply_override(values, override)
    for rate, value in result.found.items():
        apply_override(values, f"pretrain.optimizer.{rate}={value!r}")
    # On one line, whatever a store's record has for the crawl's name: the rest would be read as fields.
    said = " ".join(f"{name} with the learning rates that `sluice tune` found. {result.in_words()}".split())
    return f"# {said}\n" + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)
