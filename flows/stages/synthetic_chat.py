"""Conversations and pairs that the run makes as synthetic data: what a training builds on, and its file of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.dataset.manifest import part_path, read_manifest
from tasks.dataset.parts import read_part
from tasks.dataset.stage import Upstream
from tasks.dataset.store import Store

_COLUMNS = {
    "backtranslated": ["id", "messages"],
    "responses": ["id", "messages"],
    "preference_pairs": ["id", "prompt", "chosen", "rejected"],
}


def synthetic_sets(names_of: Callable[[Any], set[str]]) -> tuple[Upstream, ...]:
    """Return the datasets that a training builds on where a recipe names them; `names_of` gives what it names."""

    def named(name: str) -> Callable[[Any], bool]:
        return lambda recipe: name in names_of(recipe)

    return tuple(Upstream(name, all_parts=True, when=named(name)) for name in _COLUMNS)


def write_synthetic_chat(store: Store, stage: str, fingerprint: str, folder: Path) -> Path:
    """Write a finished dataset as JSON lines, as trainings read them, and return the file.

    Of documents with equal instructions, which their parts cannot know of, it has the first.
    """
    manifest = read_manifest(store, stage, fingerprint)
    assert manifest, "a training runs after what it builds on"
    path = folder / "chat" / f"{stage}-{fingerprint}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    instructions: set[str] = set()
    with path.open("w", encoding="utf-8") as file:
        for index in range(len(manifest.parts)):
            for table in read_part(store, part_path(stage, fingerprint, index), _COLUMNS[stage]):
                for row in table.to_pylist():
                    instruction = row["messages"][0]["content"].casefold() if stage == "backtranslated" else row["id"]
                    if instruction not in instructions:
                        file.write(json.dumps(row, ensure_ascii=False) + "\n")
                    instructions.add(instruction)
    return path
