"""The evaluation items that documents are searched for: written to the store when a run opens, by their content."""

import json

from flows.recipe.recipe import Recipe
from model.base.errors import BadInput
from model.evaluation.tasks.cloze import CLOZE
from model.evaluation.tasks.item_texts import item_texts
from model.evaluation.tasks.task import load_task, task_path
from tasks.base.errors import UsageError
from tasks.dataset.data_files import pin_content
from tasks.dataset.store import Store


def pin_contamination(recipe: Recipe, store: Store) -> Recipe:
    """Return `recipe` with the items of its tasks in place of their names, so that a fingerprint follows their content.

    Raises `UsageError` for a task that is wrong, or where there is none.
    """
    config = recipe.contamination
    if config is None:
        return recipe
    names = config.tasks or [name for name in recipe.evaluate.tasks if name != CLOZE]  # its pages are held out
    if not names:
        raise UsageError("contamination: name the tasks, here or in evaluate.tasks.")
    try:
        items = [item for name in names for item in item_texts(load_task(task_path(name)))]
    except BadInput as error:
        raise UsageError(f"contamination.tasks: {error}") from error
    content = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items).encode(errors="replace")
    pinned = config.model_copy(update={"tasks": (), "items": pin_content(store, content, ".jsonl")})
    return recipe.model_copy(update={"contamination": pinned})
