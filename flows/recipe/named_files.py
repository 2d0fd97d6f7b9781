"""The files and folders that a recipe and its settings name: what they are relative to, and whether they are there.

Notable: a path in a recipe's file is relative to that file, so a recipe and its lists can be moved together and used
from anywhere; one of `--set` is relative to the current folder, as in any command. What lies in an object store is read
when the run opens.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flows.recipe.field_types import annotations, is_mapping, model_in
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from tasks.addresses.https_files import leads_inwards
from tasks.base.errors import UsageError
from tasks.dataset.data_files import NamesFile, is_local
from tasks.dataset.marked_fields import Replace, marked_fields
from tasks.fetch.source_files import is_glob
from tasks.own_code.named_code import NamesCode
from tasks.synthesis.own_engine import is_export_of_store

_CONVERSATIONS = ("synthetic_web", "starter", "backtranslated", "responses")
MADE_BY_THE_RUN = {
    "sft.conversations": _CONVERSATIONS,
    "sft.mixture.*.conversations": _CONVERSATIONS,
    "preference.pairs": ("synthetic_web", "preference_pairs"),
    "rl.prompts": ("synthetic_web",),
    "evaluate.questions": ("synthetic_web",),
}
"""Fields that name a file, each with the names that stand for one that the run writes itself."""
_MODELS = ("pretrain.init", "sft.base")
_FOLDERS = re.compile(
    r"source\.base|mixture\.others\.[^.]+\.store|pretrain\.init|sft\.base|synthesis\.generator\.export"
)
_PLACE = re.compile(r"\.\d+(?=\.)")
_TASKS = re.compile(r"(evaluate|contamination)\.tasks\.\d+")
_TASK_ENDINGS = (".yaml", ".yml")
_MODEL_OF_STORE = re.compile(r"models/[A-Za-z0-9_.-]+")


class _Ways(NamedTuple):
    """How the values of fields are replaced, by what they name."""

    path: Replace
    code: Replace


def chat_files(recipe: Recipe) -> dict[str, str]:
    """Return what the fields of `MADE_BY_THE_RUN` say, for those that the recipe has."""
    mixture = recipe.sft.mixture if recipe.sft else ()
    said = {
        "sft.conversations": recipe.sft.conversations if recipe.sft else None,
        **{f"sft.mixture.{number}.conversations": one.conversations for number, one in enumerate(mixture)},
        "preference.pairs": recipe.preference.pairs if recipe.preference else None,
        "rl.prompts": recipe.rl.prompts if recipe.rl else None,
        "evaluate.questions": recipe.evaluate.questions if recipe.pretrain or recipe.sft else None,
    }
    return {field: name for field, name in said.items() if name is not None}


def names_made_by_the_run(field: str) -> tuple[str, ...]:
    """Return the names that stand, in this field, for a file that the run writes itself."""
    return MADE_BY_THE_RUN.get(_PLACE.sub(".*", field), ())


def anchored(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a recipe's plain values with its relative paths as absolute ones, from the folder of its file."""

    return dict(_replaced(values, Recipe, "", None, _of_this_machine(lambda _, path: str(folder / path))))


def relative_path(values: dict[str, Any]) -> str | None:
    """Return `field: path` for a relative path among a recipe's plain values; None where there is none."""
    found: list[str] = []

    def note(field: str, path: str) -> str:
        if not Path(path).is_absolute():
            found.append(f"{field}: {path}")
        return path

    _replaced(values, Recipe, "", None, _of_this_machine(note))
    return next(iter(found), None)


def inward_address(values: dict[str, Any], origin: str) -> str | None:
    """Return `field: address` for an address of this machine or its network in a recipe from a public host; or None.

    A name that has no address here is left to whoever asks for it: a proxy may know it.
    """
    found: list[str] = []

    def note(field: str, value: str) -> str:
        with contextlib.suppress(OSError, ValueError):
            if value.lower().startswith(("http://", "https://")) and leads_inwards(origin, value):
                found.append(f"{field}: {value}")
        return value

    if origin.startswith(("http://", "https://")):
        _replaced(values, Recipe, "", None, _Ways(note, lambda _, value: value))
    return next(iter(found), None)


def named_paths(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Yield (field, address) of each file, folder and store that a recipe names and that does not come with Sluice."""
    found: list[tuple[str, str]] = []

    def note(field: str, value: str) -> str:
        if "://" in value or _is_local(field, value):
            found.append((field, value))
        return value

    _replaced(recipe.model_dump(mode="json"), Recipe, "", None, _Ways(note, lambda _, value: value))
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


def is_model_of_store(init: str) -> bool:
    """Return whether `pretrain.init` or `sft.base` is a model folder's name below the store."""
    return bool(_MODEL_OF_STORE.fullmatch(init))


def _of_this_machine(replace: Replace) -> _Ways:
    """Replace every path on this machine, be it of a file, of a folder or of code."""
    return _Ways(
        path=lambda field, value: replace(field, value) if _is_local(field, value) else value,
        code=lambda field, value: replace(field, value) if _is_code_path(value) else value,
    )


def _is_local(field: str, value: str) -> bool:
    if field in _MODELS and is_model_of_store(value):
        return False
    if field == "synthesis.generator.export" and is_export_of_store(value):
        return False
    if _TASKS.fullmatch(field):
        return value.endswith(_TASK_ENDINGS)
    return value not in names_made_by_the_run(field) and is_local(value)


def _is_code_path(value: str) -> bool:
    return "\n" not in value and value.rpartition(":")[0].endswith(".py")


def _replaced(value: Any, annotation: Any, field: str, replace: Replace | None, ways: _Ways) -> Any:
    """Return plain values of a type with `replace(field, value)` for every path and all code, at any depth."""
    if isinstance(value, str):
        if names_made_by_the_run(field) or _FOLDERS.fullmatch(field) or _TASKS.fullmatch(field):
            replace = ways.path
        return replace(field, value) if replace else value
    if isinstance(value, list | tuple):
        return [_replaced(item, annotation, f"{field}.{place}", replace, ways) for place, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    model = model_in(annotation)
    known = {} if is_mapping(annotation) else annotations(model)
    marked = dict.fromkeys(marked_fields(model, NamesFile), ways.path) if known else {}
    marked |= dict.fromkeys(marked_fields(model, NamesCode), ways.code) if known else {}
    below = f"{field}." if field else ""
    return {
        name: _replaced(item, known.get(name, model), f"{below}{name}", replace or marked.get(name), ways)
        for name, item in value.items()
    }
