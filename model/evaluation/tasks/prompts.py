"""What a model is asked: an item as text, with its choices and its right answer, after some examples. Needs no torch.

Notable: all of it, the draws of examples too, is what lm-evaluation-harness makes of the same file and seed.
"""

import ast
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from model.base.errors import BadInput
from model.evaluation.tasks.task import Item, Task, TaskSpec

FEWSHOT_SEED = 1234
"""The harness's own."""
_LONGEST = 1 << 20
"""Characters of a rendered text."""


@dataclass(frozen=True)
class Question:
    """An item as the model is asked it."""

    context: str
    """What the model is shown, examples included."""
    targets: tuple[str, ...]
    """The right answers; of a multiple choice the right one."""
    choices: tuple[str, ...] = ()
    """Of a multiple choice."""
    right: int = -1
    """Which choice is right."""


def questions(task: Task, shots: int, limit: int = 0, seed: int = FEWSHOT_SEED) -> Iterator[Question]:
    """Yield the questions of a task, each after `shots` examples; of the first `limit` items, 0 takes all.

    Raises BadInput for an item that does not fit the task's fields, and where there are too few examples.
    """
    draws = random.Random(seed)
    for number, item in enumerate(task.items[: limit or None]):
        try:
            yield _question(task, item, _examples(task, item, shots, draws))
        except (TemplateError, KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise BadInput(f"the task {task.name}: item {number + 1}: {error}") from error


def _examples(task: Task, item: Item, shots: int, draws: random.Random) -> list[Item]:
    """Draw examples as the harness does: one more than needed where the item itself may be among them."""
    if not shots:
        return []
    if task.spec.output_type == "loglikelihood_rolling":
        raise BadInput(f"the task {task.name} scores whole texts, and takes no examples")
    others = [example for example in task.examples if example != item] if task.examples_are_items else task.examples
    if len(others) < shots:
        raise BadInput(f"the task {task.name} has {len(others)} examples beside an item, and {shots} are asked for")
    if task.spec.fewshot_config.get("sampler") == "first_n":
        return list(others[:shots])
    if not task.examples_are_items:
        return draws.sample(task.examples, shots)
    drawn = [one for one in draws.sample(task.examples, min(shots + 1, len(task.examples))) if one != item][:shots]
    return drawn if len(drawn) == shots else draws.sample(others, shots)


def _question(task: Task, item: Item, examples: list[Item]) -> Question:
    spec = task.spec
    parts = [_filled(spec.description, item)]
    for example in examples:
        shown = str(_value(spec.doc_to_text, example))
        parts += [shown, spec.target_delimiter, _answer(spec, example), spec.fewshot_delimiter]
    context = "".join([*parts, str(_value(spec.doc_to_text, item))])
    if spec.output_type == "multiple_choice":
        choices = _choices(spec, item)
        right = _right(spec, item, choices)
        if not 0 <= right < len(choices):
            raise ValueError(f"the right choice is number {right} of {len(choices)}")
        return Question(context, (choices[right],), choices, right)
    return Question(context, _targets(spec, item))


def _answer(spec: TaskSpec, item: Item) -> str:
    """Return the right answer of an example."""
    if spec.output_type == "multiple_choice":
        choices = _choices(spec, item)
        return choices[_right(spec, item, choices)]
    return _targets(spec, item)[0]


def _right(spec: TaskSpec, item: Item, choices: Sequence[str]) -> int:
    """Return the number of the right choice: a column says its number or its text, a template rather its number."""
    target = _value(spec.doc_to_target, item)
    if isinstance(target, int):
        return target
    if spec.doc_to_target not in item and target.isdigit():
        return int(target)
    if target not in choices:
        raise ValueError(f"{target!r} is not among the choices")
    return choices.index(target)


def _targets(spec: TaskSpec, item: Item) -> tuple[str, ...]:
    target = _value(spec.doc_to_target, item)
    found = tuple(map(str, _listed(target))) if _is_list(target) else (str(target),)
    if not found:
        raise ValueError("doc_to_target gives no right answer")
    return found


def _choices(spec: TaskSpec, item: Item) -> tuple[str, ...]:
    if spec.choices:
        return spec.choices
    value = _value(spec.doc_to_choice or "", item)
    if not _is_list(value):
        raise ValueError("doc_to_choice gives no list")
    return tuple(map(str, _listed(value)))


def _is_list(value: Any) -> bool:
    return isinstance(value, list) or (isinstance(value, str) and value[:1] == "[" and value[-1:] == "]")


def _listed(value: Any) -> list[Any]:
    found = value if isinstance(value, list) else ast.literal_eval(value)
    if not isinstance(found, list):
        raise ValueError(f"{value!r} is no list")
    return found


def _value(named: str, item: Item) -> Any:
    """Return what a `doc_to_...` gives: the column that it names, or a text."""
    return item[named] if named in item else _filled(named, item)


def _filled(template: str, item: Item) -> str:
    if "{" not in template:
        return template
    return "".join(_within_bounds(_compiled(template).generate(item)))


def _within_bounds(pieces: Iterator[str]) -> Iterator[str]:
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > _LONGEST:
            raise ValueError(f"a template gives more than {_LONGEST:,} characters")
        yield piece


@cache
def _compiled(template: str) -> Template:
    return _Sandbox(undefined=StrictUndefined, keep_trailing_newline=True).from_string(template)


class _Sandbox(SandboxedEnvironment):
    """Jinja without attributes of Python's own, and without products, which could fill the memory."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuse to multiply."""
        raise SecurityError(f"a template cannot use {operator}")
