"""The files of this machine that a recipe and its settings name: looked for where a run starts, before any work.

Notable: lists and lexicons are not among them; those may lie in an object store, and are read when the run opens.
"""

from pathlib import Path

from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from tasks.base.errors import UsageError

MADE_BY_THE_RUN = {"sft.conversations": ("synthetic_web", "starter"), "evaluate.questions": ("synthetic_web",)}
"""Fields that name a file, each with the names that stand for one that the run writes itself."""


def chat_files(recipe: Recipe) -> dict[str, str]:
    """Return what the fields of `MADE_BY_THE_RUN` say, for those that the recipe has."""
    said = {
        "sft.conversations": recipe.sft.conversations if recipe.sft else None,
        "evaluate.questions": recipe.evaluate.questions if recipe.pretrain else None,
    }
    return {field: name for field, name in said.items() if name is not None}


def require_named_files(recipe: Recipe, settings: RunSettings) -> None:
    """Raise `UsageError` for the first file that is not there."""
    named = {field: name for field, name in chat_files(recipe).items() if name not in MADE_BY_THE_RUN[field]}
    if settings.accelerate_config:
        named["settings.accelerate_config (--accelerate)"] = settings.accelerate_config
    for field, name in named.items():
        if not Path(name).is_file():
            raise UsageError(f"{field}: there is no file {Path(name).resolve()}.")
