"""The fields of a configuration that name something, such as a file or code: those with a marker in their type."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)
Replace = Callable[[str, str], str]
"""From a field's dotted path and its value to another value."""


def marked_fields(model: Any, marker: type) -> frozenset[str]:
    """Return the names of the fields of a model that have a marker; none of anything but a pydantic model."""
    fields = getattr(model, "model_fields", {}).items()
    return frozenset(name for name, field in fields if _is_marked(field, marker))


def with_marked_replaced(model: M, marker: type, replace: Replace) -> M:
    """Return a copy of `model` with `replace(field, value)` applied to the strings of every marked field."""
    return _replaced(model, "", marker, replace)


def _replaced(model: M, path: str, marker: type, replace: Replace) -> M:
    marked = marked_fields(type(model), marker)
    update: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        new = _replaced_value(value, f"{path}{name}", name in marked, marker, replace)
        if new is not value:
            update[name] = new
    return model.model_copy(update=update) if update else model


def _replaced_value(value: Any, where: str, marked: bool, marker: type, replace: Replace) -> Any:
    if isinstance(value, BaseModel):
        return _replaced(value, f"{where}.", marker, replace)
    if isinstance(value, Mapping):
        return {key: _replaced_value(item, f"{where}.{key}", marked, marker, replace) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(
            _replaced_value(item, f"{where}.{i}", marked, marker, replace) for i, item in enumerate(value)
        )
    return replace(where, value) if marked and isinstance(value, str) else value


def _is_marked(field: Any, marker: type) -> bool:
    """Return whether a field is marked, an optional one, or a container of such."""
    return any(isinstance(item, marker) for item in field.metadata) or _holds_marked(field.annotation, marker)


def _holds_marked(annotation: Any, marker: type) -> bool:
    is_marked = any(isinstance(item, marker) for item in getattr(annotation, "__metadata__", ()))
    return is_marked or any(_holds_marked(argument, marker) for argument in getattr(annotation, "__args__", ()))
