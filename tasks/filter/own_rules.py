"""Rules and signals of the user's own: things in a Python file that the recipe names.

Notable: they have the interfaces of the built-in ones, so reports and what-if take them as they are. An error in one
ends the run with file, line and document: whoever wrote the rule wants to know. The rules of an earlier run are known
by what they decided, and not run again.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from tasks.base.errors import UsageError
from tasks.dataset.rules import Bools, Rule, stored_reasons
from tasks.own_code.named_code import code_name, explaining, is_pinned, known_object, load


@dataclass(frozen=True)
class Signal:
    """Something measured of every document, to write rules over."""

    name: str
    """Its column in the decisions: lower-case letters, digits, underscores."""
    measure: Callable[[str, str], Any]
    """Returns the value for a text and its language; None: it cannot be measured."""
    type: pa.DataType = pa.float64()  # noqa: RUF009


class _OwnConfig(Protocol):
    rules: tuple[str, ...]
    signals: tuple[str, ...]


@dataclass(frozen=True)
class RecordedRule:
    """A rule of a run whose code is not run again: it fails what it failed then."""

    name: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The reasons that were stored."""
        return ("reasons",)

    def failing(self, table: pa.Table) -> Bools:
        """Return which rows failed."""
        return stored_reasons(table["reasons"]).get(self.name, np.zeros(table.num_rows, np.bool_))

    def explain(self, row: Mapping[str, Any]) -> str:
        """Return the name."""
        return self.name


def own_rules(config: _OwnConfig) -> tuple[Rule, ...]:
    """Return the rules, for a filter that decides. Raises UsageError for what is no rule."""
    return tuple(_checked_rule(value, load(value)) for value in config.rules)


def recorded_rules(config: _OwnConfig) -> tuple[Rule, ...]:
    """Return the rules as far as their code was run in this process, and others as what they decided."""
    found: list[Rule] = []
    for value in config.rules:
        rule = known_object(value) if is_pinned(value) else load(value)
        found.append(_checked_rule(value, rule) if rule is not None else RecordedRule(code_name(value)))
    return tuple(found)


def own_signals(config: _OwnConfig) -> dict[str, pa.DataType]:
    """Return the columns of the user's signals. Raises UsageError for what is no signal."""
    return {signal.name: signal.type for _, signal in _signals(config.signals)}


def measure_own(config: _OwnConfig, documents: pa.Table) -> dict[str, pa.Array]:
    """Measure the user's signals of documents. Raises PermanentError with file, line and document."""
    columns: dict[str, pa.Array] = {}
    if not config.signals:
        return columns
    ids, texts, languages = (documents[name].to_pylist() for name in ("id", "text", "language"))
    for value, signal in _signals(config.signals):
        measured = []
        for id, text, language in zip(ids, texts, languages, strict=True):
            with explaining(value, where=f", on the document {id}"):
                measured.append(signal.measure(text, language))
        with explaining(value, where=f", on what {signal.name} returned"):
            columns[signal.name] = pa.array(measured, signal.type)
    return columns


def _signals(values: Iterable[str]) -> list[tuple[str, Signal]]:
    found = [(value, load(value)) for value in values]
    for value, signal in found:
        if not isinstance(signal, Signal) or not signal.name.isidentifier() or not callable(signal.measure):
            raise UsageError(
                f"{value.partition(chr(10))[0]} is no signal: make it of Signal(NAME, FUNCTION) of"
                " tasks.filter.own_rules, where FUNCTION takes a text and its language."
            )
    return found


def _checked_rule(value: str, rule: Any) -> Rule:
    head = value.partition("\n")[0]
    lacks = [part for part in ("name", "columns", "failing", "explain") if not hasattr(rule, part)]
    if lacks:
        raise UsageError(
            f"{head} is no rule, it has no {', '.join(lacks)}: make it of Threshold or OneOf of tasks.dataset.rules, or"
            " write a class with these."
        )
    if rule.name != code_name(value):
        raise UsageError(
            f"{head}: the rule calls itself {rule.name!r}; give both the same name, it becomes the reason."
        )
    made: Rule = rule
    return made
