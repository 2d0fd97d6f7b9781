"""The files and folders that a recipe names: what they are relative to, and whether they are there.

Notable: a path in a recipe's file is relative to that file, so a recipe and its lists can be moved together and used
from anywhere; one of `--set` is relative to the current folder, as in any command.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flows.recipe.field_types import annotations, is_mapping, model_in
from flows.recipe.recipe import Recipe
from tasks.base.errors import UsageError
from tasks.dataset.data_files import data_file_fields, is_local

_FOLDERS = re.compile(r"source\.base|mixture\.others\.[^.]+\.store")
_CHAT = re.compile(r"sft\.conversations|evaluate\.questions")
_CHAT_WORDS = ("starter", "synthetic_web")

Replace = Callable[[str, str], str]


def anchored(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a recipe's plain values with its relative paths as absolute ones, from the folder of its file."""

    def absolute(field: str, value: str) -> str:
        return str(folder / value) if _is_local(field, value) else value

    return dict(_replaced(values, Recipe, "", False, absolute))


def named_paths(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Yield (field, address) of each file, folder and store that a recipe names and that does not come with Sluice."""
    found: list[tuple[str, str]] = []

    def note(field: str, value: str) -> str:
        if "://" in value or _is_local(field, value):
            found.append((field, value))
        return value

    _replaced(recipe.model_dump(mode="json"), Recipe, "", False, note)
    yield from found


def refuse_missing_paths(recipe: Recipe) -> None:
    """Raise UsageError with every file and folder on this machine that a recipe names and that is not there."""
    missing = []
    for field, value in named_paths(recipe):
        is_folder = bool(_FOLDERS.fullmatch(field))
        path = Path(value)
        if "://" not in value and not (path.is_dir() if is_folder else path.is_file()):
            missing.append(f"{field}: there is no {'folder' if is_folder else 'file'} {path.absolute()}.")
    if missing:
        raise UsageError("\n".join(missing))


def _is_local(field: str, value: str) -> bool:
    return not (_CHAT.fullmatch(field) and value in _CHAT_WORDS) and is_local(value)


def _replaced(value: Any, annotation: Any, field: str, is_path: bool, replace: Replace) -> Any:
    """Return plain values of a type with `replace(field, value)` for every path, at any depth."""
    if isinstance(value, str):
        return replace(field, value) if is_path or _FOLDERS.fullmatch(field) or _CHAT.fullmatch(field) else value
    if isinstance(value, list | tuple):
        return [_replaced(item, annotation, f"{field}.{place}", is_path, replace) for place, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    model = model_in(annotation)
    known = {} if is_mapping(annotation) else annotations(model)
    files = data_file_fields(model) if known else ()
    below = f"{field}." if field else ""
    return {
        name: _replaced(item, known.get(name, model), f"{below}{name}", is_path or name in files, replace)
        for name, item in value.items()
    }
