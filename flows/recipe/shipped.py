"""The recipes that come with Sluice.

Notable: reads their files only, so listing them needs nothing that a recipe's own sections need.
"""

from importlib import resources
from importlib.resources.abc import Traversable

_FOLDER = resources.files("flows") / "recipes"


def shipped_recipes() -> dict[str, str]:
    """Return the shipped recipes' names, each with the first sentence of its file's comment."""
    files = sorted((item for item in _FOLDER.iterdir() if item.name.endswith(".yaml")), key=lambda item: item.name)
    return {file.name.removesuffix(".yaml"): _first_sentence(file.read_text(encoding="utf-8")) for file in files}


def shipped_recipe(name: str) -> Traversable | None:
    """Return the file of a shipped recipe, None where there is none of that name."""
    file = _FOLDER / f"{name}.yaml"
    return file if file.is_file() else None


def _first_sentence(text: str) -> str:
    comment = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.removeprefix("#").strip())
    return " ".join(comment).partition(". ")[0].removesuffix(".") + "."
