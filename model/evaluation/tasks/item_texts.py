"""What an item is made of, as plain text, for the search for items in documents. Needs no torch.

Notable: the words that a template puts around every item are left out, since pages that quote an item do not have them.
"""

from collections.abc import Iterator

from jinja2 import Environment, meta

from model.evaluation.tasks.prompts import questions
from model.evaluation.tasks.task import Item, Task

_PASSAGES = ("passage", "context", "paragraph", "article", "story")
"""Columns that hold what a question is about."""


def item_texts(task: Task) -> Iterator[dict[str, str | int]]:
    """Yield {"task", "item", "question", "answer", "passage"} of each item. Raises BadInput for one that is wrong."""
    shown = _columns(task.spec.doc_to_text)
    for number, (item, question) in enumerate(zip(task.items, questions(task, 0), strict=True)):
        asked = _joined(item, [name for name in shown if name not in _PASSAGES]) or question.context
        passage = _joined(item, [name for name in _PASSAGES if name in item])
        texts = {"question": asked, "answer": question.targets[0], "passage": passage}
        yield {"task": task.name, "item": number, **texts}


def _columns(template: str) -> list[str]:
    """Return the columns that a template shows, in alphabetical order, or the one that it names."""
    if "{" not in template:
        return [template]
    return sorted(meta.find_undeclared_variables(Environment(autoescape=True).parse(template)))


def _joined(item: Item, names: list[str]) -> str:
    return " ".join(value for name in names if isinstance(value := item.get(name), str))
