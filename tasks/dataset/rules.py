"""Rules over signals: the one form in which a stage removes documents, `what-if` decides again and the report draws.

Notable:
- A rule reads some columns of a table and returns a mask, so a table of documents takes a few numpy operations a rule
  and no Python for each document.
- Numbers are compared in 64 bits, whatever the type of the column. A limit on a column of 32-bit scores goes through
  `limit_in_32_bits`, so that a score at the limit, rounded when it was stored, is still at the limit.
- A rule never fails a row in which its signal is null: what was not measured removes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import ge, gt, le, lt
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Bools = npt.NDArray[np.bool_]
Comparison = Literal["<", "<=", ">", ">="]
_COMPARE: Final = MappingProxyType({"<": lt, "<=": le, ">": gt, ">=": ge})


class Rule(Protocol):
    """One reason to remove a document; rules that are equal fail the same rows of the same table."""

    @property
    def name(self) -> str:
        """The reason that a decision gives."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""

    def failing(self, table: pa.Table) -> Bools:
        """Return which rows fail."""

    def explain(self, row: Mapping[str, Any]) -> str:
        """Return in words why this row fails, e.g. `gopher_min_words: words 31 < 50`."""


@dataclass(frozen=True)
class Threshold:
    """Fails where `signal` `comparison` `limit` holds."""

    name: str
    signal: str
    comparison: Comparison
    limit: float
    """In the unit of the signal."""
    language_limits: tuple[tuple[str, float], ...] = ()
    """Limits for documents in one language, in place of the general one."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The signal, and the language where it matters."""
        return (self.signal, "language") if self.language_limits else (self.signal,)

    def failing(self, table: pa.Table) -> Bools:
        """Return which rows fail."""
        limits: float | npt.NDArray[np.float64] = self.limit
        if self.language_limits:
            limits = np.full(table.num_rows, self.limit, np.float64)
            for language, limit in self.language_limits:
                limits[is_one_of(table["language"], (language,))] = limit
        failing: Bools = _COMPARE[self.comparison](table[self.signal].cast(pa.float64()).to_numpy(), limits)
        return failing

    def explain(self, row: Mapping[str, Any]) -> str:
        """Return e.g. `gopher_min_words: words 31 < 50`."""
        limit = dict(self.language_limits).get(row.get("language", ""), self.limit)
        signal = "" if self.signal == self.name else f"{self.signal} "
        return f"{self.name}: {signal}{row[self.signal]:.4g} {self.comparison} {round(limit, 5):g}"


@dataclass(frozen=True)
class OneOf:
    """Fails where the signal is none of `values`."""

    name: str
    signal: str
    values: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The signal."""
        return (self.signal,)

    def failing(self, table: pa.Table) -> Bools:
        """Return which rows fail."""
        return ~is_one_of(table[self.signal], self.values)

    def explain(self, row: Mapping[str, Any]) -> str:
        """Return e.g. `language: de is none of en`."""
        return f"{self.name}: {row[self.signal]} is none of {', '.join(self.values)}"


def limit_in_32_bits(limit: float) -> float:
    """Return the limit as a column of 32-bit floats would store it."""
    return float(np.float32(limit))


def limits_of(rules: Iterable[Rule]) -> dict[str, float | None]:
    """Return the general limit of each rule by its name; None for a rule that is no threshold."""
    return {rule.name: rule.limit if isinstance(rule, Threshold) else None for rule in rules}


def is_one_of(column: pa.ChunkedArray, values: Sequence[str]) -> Bools:
    """Return where `column` holds one of `values`; null is none."""
    found: Bools = pc.is_in(column, value_set=pa.array(values, pa.string())).to_numpy()
    return found


def apply_rules(rules: Iterable[Rule], table: pa.Table) -> dict[str, Bools]:
    """Return which rows of `table` fail each rule, by its name and in the order of the rules."""
    return {rule.name: rule.failing(table) for rule in rules}


def passing(failing: Iterable[Bools], rows: int) -> Bools:
    """Return which of so many rows fail nothing."""
    passes = np.ones(rows, np.bool_)
    for fails in failing:
        passes &= ~fails
    return passes


def reasons_column(failing: Mapping[str, Bools], rows: int) -> pa.ListArray:
    """Return for each of so many rows the names of all that it fails, in the order of `failing`."""
    masks = np.array([*failing.values()], np.bool_).reshape(len(failing), rows)
    row_of, rule_of = np.nonzero(masks.T)
    offsets = np.searchsorted(row_of, np.arange(rows + 1))
    names = pa.array([*failing], pa.string()).take(pa.array(rule_of))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names)


def stored_reasons(reasons: pa.ChunkedArray) -> dict[str, Bools]:
    """Return where each word occurs in a column of lists of words, such as `reasons_column` makes; null is no word."""
    lists = reasons.combine_chunks()
    words = lists.flatten().dictionary_encode()
    rows, codes = pc.list_parent_indices(lists).to_numpy(), words.indices.to_numpy()
    found = {}
    for code, reason in enumerate(words.dictionary.to_pylist()):
        found[reason] = np.zeros(len(lists), np.bool_)
        found[reason][rows[codes == code]] = True
    return found
