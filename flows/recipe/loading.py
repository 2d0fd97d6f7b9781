"""Loading a recipe: its YAML, `--set` overrides on top, then validation.

Notable: an error reports every wrong field, each with the file, its dotted path and, for a name that does not exist,
the nearest one that does.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from flows.recipe.field_types import annotations, model_in
from flows.recipe.named_files import is_model_of_store
from flows.recipe.own_code import check_own_code
from flows.recipe.recipe import Recipe
from flows.recipe.recipe_file import RecipeError, read_recipe_values
from model.base.config_loading import json_object
from model.base.errors import BadInput, did_you_mean
from model.base.sizes import differing_sizes
from model.inference.transformers_config import shape_of
from tasks.base.plain_data import parse_yaml

_TRIED_TYPE = re.compile(r"\[|^(function|tagged|constrained)-|^(int|str|tuple|literal)$")

RENAMED = {
    "vocabulary_size": "vocab_size",
    "width": "hidden_size",
    "feed_forward_width": "intermediate_size",
    "head_width": "head_dim",
    "sequences_per_step": "global_batch_size",
    "matrix_lr": "muon_lr",
    "madeup": "synthetic_web",
}
"""Fields that were renamed after 0.1.0, for the hint of an error: the old names are refused."""


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return a recipe by its shipped name, path or URL, with `field.path=value` overrides applied.

    Raises `RecipeError` that names every wrong field.
    """
    where, values = read_recipe_values(name)
    for override in overrides:
        apply_override(values, override)
    recipe = validated(_with_sizes_of_init(values), where)
    check_own_code(recipe, where, "://" not in name)
    return recipe


def _with_sizes_of_init(values: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe's values with the sizes, where they are not given, of the model that pretraining begins with.

    The vocabulary is the larger of the model's and the tokenizer's, and the context the recipe's own if it may be.
    """
    pretrain, tokenizer = values.get("pretrain"), values.get("tokenizer")
    if not isinstance(pretrain, dict):
        return values
    init, given = pretrain.get("init"), pretrain.get("shape", {})
    if not isinstance(init, str) or not isinstance(given, dict) or "depth" in given:
        return values
    folder = Path(init)
    if is_model_of_store(init) or not any(folder.glob("*.safetensors")):
        return values
    try:
        shape = shape_of(json_object(folder / "config.json"), folder)
    except (OSError, ValueError, BadInput) as error:
        raise RecipeError(f"pretrain.init: {init} holds no model that training can begin with: {error}") from error
    sizes = asdict(shape)
    if not differing_sizes(shape, replace(shape, context=shape.context + 1)):
        del sizes["context"]
    vocabulary = tokenizer.get("vocab_size") if isinstance(tokenizer, dict) else None
    if isinstance(vocabulary, int):
        sizes["vocab_size"] = max(shape.vocab_size, vocabulary)
    return values | {"pretrain": pretrain | {"shape": sizes | given}}


def validated(values: dict[str, Any], where: str) -> Recipe:
    """Return plain values as a `Recipe`; `where` names their origin in the error."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"The recipe {where} is wrong:\n{explain(error, Recipe)}") from error


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set one `field.path=value` in nested values; the value is YAML, such as 3, true, [1, 2] or null."""
    path, separator, text = override.partition("=")
    keys = path.strip().split(".")
    if not separator or not all(keys):
        raise RecipeError(f"--set {override!r} is not of the form field.path=value.")
    try:
        value = parse_yaml(text)
    except ValueError as error:
        raise RecipeError(f"--set {override!r}: the value is not valid YAML: {error}") from error
    target = values
    for key in keys[:-1]:
        below = target.setdefault(key, {})
        if not isinstance(below, dict):
            below = target[key] = {}
        target = below
    target[keys[-1]] = value


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return a validation error in words, one line for each wrong field."""
    said: dict[str, list[str]] = {}
    for details in error.errors():
        field, message = _explain_one(details, model)
        said.setdefault(field, []).append(message)
    return "\n".join(f"  {field}: {'; or '.join(messages)}" for field, messages in said.items())


def _explain_one(details: Any, model: type[BaseModel]) -> tuple[str, str]:
    """Return the dotted path of a field and what is wrong with it."""
    # Where a field takes one of several types, pydantic adds the type that it tried to the path.
    location = [part for part in details["loc"] if not _TRIED_TYPE.search(str(part))]
    field = ".".join(str(part) for part in location) or "recipe"
    if details["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        siblings = _fields_at(model, location[:-1])
        name = str(location[-1])
        now = RENAMED.get(name)
        hint = f"; did you mean {now!r}, as it is called now?" if now in siblings else did_you_mean(name, siblings)
        return field, f"no such field{hint}; there are: {', '.join(siblings)}"
    message = details["msg"].removeprefix("Value error, ")
    if details["type"] == "missing":
        return field, "is missing"
    if isinstance(details.get("input"), dict | list) or details["type"] == "value_error":
        return field, message
    return field, f"{message} (it is {details.get('input')!r})"


def _fields_at(model: type[BaseModel], location: Sequence[Any]) -> list[str]:
    current: Any = model
    for key in location:
        if (annotation := annotations(current).get(key)) is not None:
            current = model_in(annotation)
    return sorted(annotations(current))
