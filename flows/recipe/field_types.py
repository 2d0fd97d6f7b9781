"""The fields of a recipe's sections by their types, pydantic models and dataclasses alike."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def annotations(model: Any) -> dict[str, Any]:
    """Return the fields of a pydantic model or a dataclass with their types; none of anything else."""
    if dataclasses.is_dataclass(model):
        return typing.get_type_hints(model)
    return {name: field.annotation for name, field in getattr(model, "model_fields", {}).items()}


def model_in(annotation: Any) -> Any:
    """Return the model or dataclass inside an optional, a union or a container, None if there is none."""
    if isinstance(annotation, type) and (dataclasses.is_dataclass(annotation) or issubclass(annotation, BaseModel)):
        return annotation
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        return next(filter(None, map(model_in, typing.get_args(annotation))), None)
    return None


def is_mapping(annotation: Any) -> bool:
    """Return whether values of this type are mappings with names of the user's own."""
    origin = typing.get_origin(annotation)
    return (isinstance(origin, type) and issubclass(origin, Mapping)) or (
        origin is not None and any(map(is_mapping, typing.get_args(annotation)))
    )
