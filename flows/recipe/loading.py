"""Loading a recipe: YAML by name or path, `--set` overrides on top, then validation.

Notable: an error reports every wrong field, each with the file, its dotted path and, for a name that does not exist,
the nearest one that does.
"""

import dataclasses
import re
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from flows.recipe.recipe import Recipe
from flows.recipe.shipped import shipped_recipe, shipped_recipes
from model.base.errors import did_you_mean
from tasks.base.errors import UsageError
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


class RecipeError(UsageError):
    """The recipe, or an override of it, is wrong."""


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return a shipped recipe by name, or one by the path of its YAML file, with `field.path=value` overrides applied.

    Raises `RecipeError` that names every wrong field.
    """
    where, text = _read(name_or_path)
    try:
        values = parse_yaml(text) or {}
    except ValueError as error:
        raise RecipeError(f"The recipe {where} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"The recipe {where} must be a mapping of fields, not {type(values).__name__}.")
    for override in overrides:
        apply_override(values, override)
    return validated(values, where)


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


def _read(name_or_path: str) -> tuple[str, str]:
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        try:
            return str(path), path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise RecipeError(f"The recipe {path} is not UTF-8 text: {error}.") from error
        except OSError as error:
            raise RecipeError(f"The recipe {path} cannot be read: {error.strerror}.") from error
    shipped = shipped_recipe(name_or_path)
    if shipped is None:
        known = list(shipped_recipes())
        near = did_you_mean(name_or_path, known)
        raise RecipeError(
            f"There is no recipe called {name_or_path!r}{near}. Shipped: {', '.join(known)}; or give a path to a .yaml."
        )
    return f"{name_or_path} (shipped)", shipped.read_text(encoding="utf-8")


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
        if (annotation := _annotations(current).get(key)) is not None:
            current = _model_in(annotation)
    return sorted(_annotations(current))


def _annotations(model: Any) -> dict[str, Any]:
    """Return the fields of a pydantic model or a dataclass with their types."""
    if dataclasses.is_dataclass(model):
        return typing.get_type_hints(model)
    return {name: field.annotation for name, field in getattr(model, "model_fields", {}).items()}


def _model_in(annotation: Any) -> Any:
    """Return the model or dataclass inside an optional, a union or a container, None if there is none."""
    if dataclasses.is_dataclass(annotation) or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return annotation
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        return next(filter(None, map(_model_in, typing.get_args(annotation))), None)
    return None
