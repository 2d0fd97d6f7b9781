"""The conversations and questions of a recipe's assistant, beside those that the recipe names."""

from collections.abc import Callable, Mapping
from pathlib import Path

from flows.recipe.recipe import Recipe
from model.tools.calculator import CALCULATOR
from model.tools.search import SEARCH
from tasks.base.errors import UsageError
from tasks.conversations.config import AssistantConfig
from tasks.conversations.files import write_assistant_chat, write_assistant_questions

_DEFINITIONS = {tool.name: tool.definition for tool in (CALCULATOR, SEARCH)}


def with_assistant(recipe: Recipe, files: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """Return the chat files with the assistant's own conversations and questions after what they hold.

    Args:
        recipe: Without an `assistant` the files stay as they are.
        files: By kind, as the recipe names them; a kind that it does not name stays away.
        folder: Where the new files go.
    """
    if recipe.assistant is None or recipe.sft is None:
        return dict(files)
    writers: dict[str, Callable[[Path, AssistantConfig], None]] = {
        "conversations": lambda path, assistant: write_assistant_chat(path, assistant, _DEFINITIONS),
        "questions": write_assistant_questions,
    }
    return {
        kind: _joined(path, folder / f"{kind}.jsonl", writers[kind], recipe.assistant) if kind in writers else path
        for kind, path in files.items()
    }


def _joined(
    named: Path, joined: Path, write: Callable[[Path, AssistantConfig], None], assistant: AssistantConfig
) -> Path:
    if named.suffix == ".parquet":
        raise UsageError(
            f"sft.conversations: {named} is Parquet, and the assistant's conversations are put after JSON lines: name "
            "the file in sft.mixture, and leave sft.conversations out"
        )
    write(joined, assistant)
    content = named.read_bytes()
    line_end = b"" if content.endswith(b"\n") or not content else b"\n"
    joined.write_bytes(content + line_end + joined.read_bytes())
    return joined
