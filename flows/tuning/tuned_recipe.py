"""The recipe that a rate search leaves: the one that was given, with the rates that were found."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from flows.recipe.loading import apply_override
from flows.recipe.recipe_file import RecipeError, read_recipe_values
from flows.tuning.result import TuneResult


def require_free(path: Path) -> None:
    """Raise `RecipeError` where there is a file already: a recipe may hold comments that only its author knows."""
    if path.exists():
        raise RecipeError(f"{path} exists: give another file with --out, or move it.")


def tuned_recipe(name: str, overrides: Sequence[str], result: TuneResult) -> str:
    """Return the YAML of a recipe, as named and overridden, with the found rates; comments are not kept."""
    _, values = read_recipe_values(name)
    for override in overrides:
        apply_override(values, override)
    for rate, value in result.found.items():
        apply_override(values, f"pretrain.optimizer.{rate}={value!r}")
    said = f"# {name} with the learning rates that `sluice tune` found. {result.in_words()}\n"
    return said + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)
