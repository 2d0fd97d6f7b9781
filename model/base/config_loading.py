"""Strict reading of JSON files into frozen dataclasses.

Notable: an unknown or missing field or one of a wrong type is an error that names the file, the field by its path
(`optimizer.muon_lr`) and, for an unknown one, the nearest known name. A misspelt field never becomes a default.
"""

import dataclasses
import json
import types
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from model.base.errors import BadInput, did_you_mean

Config = TypeVar("Config")
_MAX_BYTES = 1 << 28
"""Largest file that is read; tokenizers have up to some 10 MiB."""


def load_config(path: Path, kind: type[Config]) -> Config:
    """Read the JSON file `path` into the dataclass `kind`; raises BadInput if it cannot be read or a field is wrong."""
    try:
        values = json_value(read_small(path))
    except OSError as error:
        raise BadInput(f"cannot read the config {path}: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(f"the config {path} is not JSON: {error}") from error
    return parse_config(values, kind, str(path))


def json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file that may come from anyone.

    Raises OSError if it cannot be read, and ValueError if it is something else, too large or nested too deeply.
    """
    values = json_value(read_small(path))
    if not isinstance(values, dict):
        raise ValueError(f"it holds no object but {_shown(values)}")
    return values


def read_small(path: Path) -> bytes:
    """Return the bytes of a file; of one that is too large for `json_value` only so many that it refuses them."""
    with path.open("rb") as file:
        return file.read(_MAX_BYTES + 1)


def json_value(content: bytes) -> Any:
    """Return the value of JSON that may come from anyone; raises ValueError for what is none, too large or too deep."""
    if len(content) > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES >> 20} MiB")
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def parse_config(values: Any, kind: type[Config], where: str, prefix: str = "") -> Config:
    """Make the dataclass `kind` of plain JSON `values`; error messages name their source, `where`, and field paths."""
    if not isinstance(values, dict):
        raise BadInput(f"{where}: {prefix.rstrip('.') or 'the config'} must be an object, not {_shown(values)}")
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            hint = did_you_mean(prefix + name, [prefix + field for field in fields])
            raise BadInput(f"{where}: unknown field {prefix}{name}{hint or '; known fields: ' + ', '.join(fields)}")
    found = {}
    for name, field in fields.items():
        if name in values:
            found[name] = _value_of(values[name], hints[name], where, prefix + name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise BadInput(f"{where}: the field {prefix}{name} is missing")
    try:
        return kind(**found)
    except ValueError as error:
        raise BadInput(f"{where}: {prefix}{error}") from error


def config_as_json(config: Any) -> dict[str, Any]:
    """Return a config as plain JSON values, which `parse_config` reads back to an equal one."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    return plain


def _value_of(value: Any, hint: Any, where: str, name: str) -> Any:
    origin = get_origin(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return parse_config(value, hint, where, f"{name}.")
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return _value_of(value, next(kind for kind in get_args(hint) if kind is not type(None)), where, name)
    if origin is Literal:
        if value in get_args(hint):
            return value
        raise BadInput(f"{where}: {name} must be one of {', '.join(map(str, get_args(hint)))}, not {_shown(value)}")
    if origin is dict and isinstance(value, dict):
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(_value_of(entry, get_args(hint)[0], where, f"{name}[{at}]") for at, entry in enumerate(value))
    if hint is float and type(value) is int and abs(value) < 1 << 1023:  # no float is larger
        return float(value)
    if hint is Path and isinstance(value, str) and value:
        return Path(value)
    if hint is not Path and type(value) is hint:
        return value
    raise BadInput(f"{where}: {name} must be of type {_type_name(hint)}, not {_shown(value)}")


def _type_name(hint: Any) -> str:
    if get_origin(hint) is tuple:
        return f"list of {_type_name(get_args(hint)[0])}"
    return {Path: "path (a string)", str: "string"}.get(hint, getattr(hint, "__name__", str(hint)))


def _shown(value: Any) -> str:
    return f"{json.dumps(value)[:80]}"
