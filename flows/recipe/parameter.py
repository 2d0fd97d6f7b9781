"""The recipe as a flow's parameter: a name, a file, a URL, a whole recipe, or changes to one of them.

Notable:
- The parameter becomes a `Recipe` where the flow starts, so every check of a recipe is made before any work.
- Its JSON schema has two halves. What a form draws is a text field or an object as JSON, not a label for each of two
  hundred fields. What the server checks, under `if` and `then`, which forms do not draw, is every field of the recipe.
- The server stores the parameter before a flow sees it, so passwords in addresses are refused by the schema already,
  in whatever field.
"""

import functools
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from flows.recipe.loading import validated
from flows.recipe.own_code import check_own_code
from flows.recipe.recipe import Recipe
from flows.recipe.recipe_file import SUFFIXES, RecipeError, read_recipe_values
from flows.recipe.shipped import shipped_recipes
from tasks.addresses.secrets_in_addresses import NO_SECRET

_CHANGES = {"recipe", "set"}
_CHECKS = {
    *("type", "const", "enum", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "uniqueItems", "multipleOf"),
    *("anyOf", "oneOf", "allOf", "items", "prefixItems"),
    *("properties", "patternProperties", "additionalProperties", "propertyNames"),
}
"""Keywords of JSON schema that say what a value may be, but for `required`."""
_DEEPEST = 5
"""Levels at which secrets are looked for: `{"set": {"mixture": {"others": {NAME: {"store": ...}}}}}` has five."""
_WORDS = (
    "A shipped recipe's name ({names}), the path on the worker or the URL of a YAML file, a whole recipe as an object,"
    ' or changes to one: {{"recipe": "first-crawl", "set": {{"source": {{"warcs": 2}}}}}}.'
)


def chosen_recipe(value: Any) -> Any:
    """Return what a flow's parameter stands for as a `Recipe`; `RecipeError` names every wrong field."""
    if isinstance(value, Recipe):
        return value
    if isinstance(value, str):
        return _checked(validated(read_recipe_values(value)[1], value), value, "://" not in value)
    if not isinstance(value, Mapping):
        raise RecipeError(f"The recipe must be a name or an object, not {type(value).__name__}.")
    if not value.keys() & _CHANGES:
        return _checked(validated(dict(value), "that was given"), "that was given", False)
    changes = value.get("set") or {}
    if value.keys() - _CHANGES or not isinstance(value.get("recipe"), str) or not isinstance(changes, Mapping):
        raise RecipeError('Changes to a recipe are of the form {"recipe": NAME, "set": {SECTION: {FIELD: VALUE}}}.')
    where, values = read_recipe_values(value["recipe"])
    for path, change in changes.items():
        *sections, field = str(path).split(".")
        nested = {field: change}
        for section in reversed(sections):
            nested = {section: nested}
        values = merged(values, nested)
    return _checked(validated(values, f"{where}, with what was set"), f"{where}, with what was set", False)


def _checked(recipe: Recipe, where: str, is_local: bool) -> Recipe:
    check_own_code(recipe, where, is_local)
    return recipe


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with those of `changes` put over them; mappings are merged, anything else is replaced."""
    both = {
        name: merged(values[name], change)
        for name, change in changes.items()
        if isinstance(change, Mapping) and isinstance(values.get(name), Mapping)
    }
    return {**values, **changes, **both}


class _ForFormAndServer:
    """Gives the parameter its JSON schema; see the module."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "title": "Recipe",
            "description": _WORDS.format(names=", ".join(shipped_recipes())),
            "anyOf": [{"type": "string", "title": "Name, path or URL"}, {"type": "object", "title": "Object"}],
            "if": {"type": "string"},
            "then": {"pattern": _name_pattern()},
            "else": {
                **_no_secrets(_DEEPEST),
                "if": {"anyOf": [{"required": [name]} for name in sorted(_CHANGES)]},
                "then": {
                    "type": "object",
                    "properties": {"recipe": {"type": "string", "pattern": _name_pattern()}, "set": _partial_schema()},
                    "required": ["recipe"],
                    "additionalProperties": False,
                },
                "else": handler(core),
            },
        }


RecipeParameter = Annotated[Recipe, BeforeValidator(chosen_recipe), _ForFormAndServer()]
"""A flow's parameter that is a `Recipe` inside the flow."""


def _name_pattern() -> str:
    endings = "|".join(map(re.escape, SUFFIXES))
    names = "|".join(map(re.escape, shipped_recipes()))
    return f"^({names})$|{NO_SECRET['pattern']}.*({endings})$"


@functools.cache
def _partial_schema() -> JsonSchemaValue:
    """Return the recipe's schema with no field required, `section.field` as a name too, and no words."""
    whole = Recipe.model_json_schema()
    return {**_without_required(whole, whole["$defs"]), "patternProperties": {r"^\w+\.": {}}}


def _no_secrets(depth: int) -> JsonSchemaValue:
    """Return a schema that lets any value pass but one with a secret in an address, `depth` levels down."""
    if not depth:
        return dict(NO_SECRET)
    deeper = _no_secrets(depth - 1)
    return {**NO_SECRET, "additionalProperties": deeper, "items": deeper}


def _without_required(schema: Mapping[str, Any], models: Mapping[str, Any]) -> JsonSchemaValue:
    if "$ref" in schema:
        return _without_required(models[schema["$ref"].rsplit("/", 1)[1]], models)
    kept = {key: value for key, value in schema.items() if key in _CHECKS}
    for key in kept.keys() & {"properties", "patternProperties"}:
        kept[key] = {name: _without_required(value, models) for name, value in kept[key].items()}
    for key in kept.keys() & {"anyOf", "oneOf", "allOf", "prefixItems"}:
        kept[key] = [_without_required(option, models) for option in kept[key]]
    for key in kept.keys() & {"items", "additionalProperties", "propertyNames"}:
        if isinstance(kept[key], dict):
            kept[key] = _without_required(kept[key], models)
    return kept
