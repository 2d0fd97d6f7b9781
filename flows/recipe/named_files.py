"""The files and folders that a recipe and its settings name: what they are relative to, and whether they are there.

Notable: a path in a recipe's file is relative to that file, so a recipe and its lists can be moved together and used
from anywhere; one of `--set` is relative to the current folder, as in any command. What lies in an object store is read
when the run opens.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flows.recipe.field_types import annotations, is_mapping, model_in
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from tasks.base.errors import UsageError
from tasks.dataset.data_files import data_file_fields, is_local
from tasks.fetch.source_files import is_glob

MADE_BY_THE_RUN = {"sft.conversations": ("synthetic_web", "starter"), "evaluate.questions": ("synthetic_web",)}
"""Fields that name a file, each with the names that stand for one that the run writes itself."""
CODE_FIELDS = (("filter", "rules"), ("filter", "signals"), ("extract", "extractor"))
"""Fields that name code of the user's own."""
_FOLDERS = re.compile(r"source\.base|mixture\.others\.[^.]+\.store")

Replace = Callable[[str, str], str]


def chat_files(recipe: Recipe) -> dict[str, str]:
    """Return what the fields of `MADE_BY_THE_RUN` say, for those that the recipe has."""
    said = {
        "sft.conversations": recipe.sft.conversations if recipe.sft else None,
        "evaluate.questions": recipe.evaluate.questions if recipe.pretrain else None,
    }
    return {field: name for field, name in said.items() if name is not None}


def anchored(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a recipe's plain values with its relative paths as absolute ones, from the folder of its file."""

    def absolute(field: str, value: str) -> str:
        return str(folder / value) if _is_local(field, value) else value

    return _with_code_anchored(_replaced(values, Recipe, "", False, absolute), folder)


def _with_code_anchored(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the values with the paths of code, FILE.py:NAME, as absolute ones."""

    def anchored(value: Any) -> Any:
        is_path = isinstance(value, str) and "\n" not in value and value.rpartition(":")[0].endswith(".py")
        return str(folder / value) if is_path else value

    changed = dict(values)
    for section, field in CODE_FIELDS:
        given = changed.get(section)
        if isinstance(given, dict) and field in given:
            value = given[field]
            named = [anchored(item) for item in value] if isinstance(value, list) else anchored(value)
            changed[section] = given | {field: named}
    return changed


def named_paths(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Yield (field, address) of each file, folder and store that a recipe names and that does not come with Sluice."""
    found: list[tuple[str, str]] = []

    def note(field: str, value: str) -> str:
        if "://" in value or _is_local(field, value):
            found.append((field, value))
        return value

    _replaced(recipe.model_dump(mode="json"), Recipe, "", False, note)
    yield from found


def require_named_files(recipe: Recipe, settings: RunSettings) -> None:
    """Raise `UsageError` with every file and folder of this machine that is named and not there."""
    named = list(named_paths(recipe))
    if settings.accelerate_config:
        named.append(("settings.accelerate_config (--accelerate)", settings.accelerate_config))
    missing = []
    for field, name in named:
        kind, path = "folder" if _FOLDERS.fullmatch(field) else "file", Path(name)
        if field == "source.base":
            kind, is_there = "file or folder", path.exists() or is_glob(name)
        else:
            is_there = path.is_dir() if kind == "folder" else path.is_file()
        if "://" not in name and not is_there:
            missing.append(f"{field}: there is no {kind} {path.absolute()}.")
    if missing:
        raise UsageError("\n".join(missing))


def _is_local(field: str, value: str) -> bool:
    return value not in MADE_BY_THE_RUN.get(field, ()) and is_local(value)


def _replaced(value: Any, annotation: Any, field: str, is_path: bool, replace: Replace) -> Any:
    """Return plain values of a type with `replace(field, value)` for every path, at any depth."""
    if isinstance(value, str):
        is_path = is_path or field in MADE_BY_THE_RUN or bool(_FOLDERS.fullmatch(field))
        return replace(field, value) if is_path else value
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
