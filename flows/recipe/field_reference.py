"""Every field that a recipe can have: where it stands, what it takes, what it means.

Notable: read from the recipe's JSON schema, from which Prefect draws its form as well, so the two agree. The words are
the docstrings under the fields.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flows.recipe.recipe import Recipe
from flows.recipe.recipe_file import RecipeError
from model.base.errors import did_you_mean

_LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minItems": "at least {} of them",
    "pattern": "matching {}",
}


@dataclass(frozen=True)
class RecipeField:
    """One field of a recipe."""

    path: str
    """Its dotted path; `*` stands for a name of the user's own, `[]` for each item of a list."""
    type: str
    """What it takes, in words."""
    required: bool
    """Whether it must be given, where its section is."""
    default: Any
    """Its default; None also for a section, whose fields have their own, and for a size that follows another field."""
    meaning: str
    """Its docstring."""


def recipe_fields() -> list[RecipeField]:
    """Return every field, in the order of the recipe's sections."""
    schema = Recipe.model_json_schema()
    return list(_fields(schema, "", schema["$defs"]))


def fields_under(path: str) -> list[RecipeField]:
    """Return the field called `path` and those below it, all for an empty path; `RecipeError` where there is none."""
    fields = recipe_fields()
    found = [field for field in fields if not path or f"{field.path}.".replace("[", ".").startswith(f"{path}.")]
    if not found:
        raise RecipeError(f"There is no field {path!r}{did_you_mean(path, [field.path for field in fields])}.")
    return found


def _fields(model: dict[str, Any], prefix: str, models: dict[str, Any]) -> Iterator[RecipeField]:
    for name, schema in model.get("properties", {}).items():
        path = f"{prefix}{name}"
        below = list(_models_in(schema, path, models))
        default = schema.get("default", {} if schema.get("type") == "object" else None)
        kind = _type(schema, models)
        words = schema.get("description") or (below[0][0].get("description", "") if below else "")
        yield RecipeField(
            path=path,
            type=kind,
            required=name in model.get("required", ()),
            default=None if kind == "section" else default,
            meaning=" ".join(words.split()),
        )
        for inner, inner_path in below:
            yield from _fields(inner, f"{inner_path}.", models)


def _models_in(schema: dict[str, Any], path: str, models: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Each model that a field's values are or hold, with the path at which it stands."""
    if "$ref" in schema:
        target = models[schema["$ref"].rsplit("/", 1)[1]]
        if "properties" in target:
            yield target, path
    for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _models_in(option, path, models)
    if isinstance(items := schema.get("items"), dict):
        yield from _models_in(items, f"{path}[]", models)
    for values in (schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()):
        if isinstance(values, dict):
            yield from _models_in(values, f"{path}.*", models)


def _type(schema: dict[str, Any], models: dict[str, Any]) -> str:
    """A field's type in words."""
    if "$ref" in schema:
        target = models[schema["$ref"].rsplit("/", 1)[1]]
        return "section" if "properties" in target else _type(target, models)
    if options := (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        return " or ".join(dict.fromkeys(_type(option, models) for option in options))
    if "const" in schema or "enum" in schema:
        return " | ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    limits = [words.format(schema[limit]) for limit, words in _LIMITS.items() if limit in schema]
    return " ".join([_container(schema, models), *([", ".join(limits)] if limits else [])])


def _container(schema: dict[str, Any], models: dict[str, Any]) -> str:
    kind = schema.get("type", "value")
    if kind == "array":
        items = schema.get("items")
        return f"list of {_type(items, models)}" if isinstance(items, dict) else "list"
    if kind == "object":
        values = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), None)
        return f"mapping of names to {_type(values, models)}" if isinstance(values, dict) else "mapping"
    return str(kind)
