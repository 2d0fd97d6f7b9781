"""DocumentCheck stored decisions again under another configuration, whole columns at a time and without the texts.

Notable:
- A stage that judges by signals offers its tests for a configuration. A test reads some columns of the decisions, so a
  table of documents takes a few numpy operations a test and no Python for each document.
- A test that both configurations have has said already what it says: its stored reason is taken, and its columns are
  not even read. So is every reason that no test gives, e.g. that a document is a duplicate.
"""

from __future__ import annotations

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


class SignalTest(Protocol):
    """Who fails, told by a few columns; tests that are equal fail the same documents."""

    @property
    def name(self) -> str:
        """What a decision gives as its reason."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the decisions that it reads."""

    def failing(self, decisions: pa.Table) -> Bools:
        """Which documents fail."""

    def explain(self, row: Mapping[str, Any]) -> str:
        """In words, why the document of this decision fails."""


@dataclass(frozen=True)
class Threshold:
    """Fails where the signal stands to the limit as `comparison` says; a null was not measured and does not fail."""

    name: str
    signal: str
    comparison: Comparison
    limit: float
    language_limits: tuple[tuple[str, float], ...] = ()
    """Limits for documents in one language, in place of the general one."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The signal, and the language where it matters."""
        return (self.signal, "language") if self.language_limits else (self.signal,)

    def failing(self, decisions: pa.Table) -> Bools:
        """Which documents fail."""
        limits: float | npt.NDArray[np.float64] = self.limit
        if self.language_limits:
            limits = np.full(decisions.num_rows, self.limit, np.float64)
            for language, limit in self.language_limits:
                limits[_matching(decisions["language"], (language,))] = limit
        # In 64 bits whatever the column's type: that is how single numbers are compared.
        failing: Bools = _COMPARE[self.comparison](decisions[self.signal].cast(pa.float64()).to_numpy(), limits)
        return failing

    def explain(self, row: Mapping[str, Any]) -> str:
        """E.g. `gopher_min_words: words 31 < 50`."""
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

    def failing(self, decisions: pa.Table) -> Bools:
        """Which documents fail."""
        return ~_matching(decisions[self.signal], self.values)

    def explain(self, row: Mapping[str, Any]) -> str:
        """E.g. `language: de is none of en`."""
        return f"{self.name}: {row[self.signal]} is none of {', '.join(self.values)}"


def _matching(column: pa.ChunkedArray, values: Sequence[str]) -> Bools:
    found: Bools = pc.is_in(column, value_set=pa.array(values, pa.string())).to_numpy()
    return found


class Rejudging:
    """Judges decisions that were made by the tests `before` as the tests `after` would; None: by tests unknown."""

    def __init__(self, before: Sequence[SignalTest] | None, after: Sequence[SignalTest]) -> None:
        known = set(before or ())
        self.tests = tuple(test for test in after if test not in known)
        """Those that must be made; the others' verdicts are in the decisions."""
        self.columns = tuple(dict.fromkeys(["reasons", *(name for test in self.tests for name in test.columns)]))
        """What it reads of the decisions."""
        self._order = tuple(test.name for test in after)
        self._gone = {test.name for test in before or ()} - set(self._order)
        self._all_by_tests = before is None

    @property
    def changes(self) -> bool:
        """Whether any verdict can be another than the one stored."""
        return bool(self.tests or self._gone or self._all_by_tests)

    def failing(self, decisions: pa.Table, stored: Mapping[str, Bools]) -> dict[str, Bools]:
        """Which documents fail what: the tests in their order, then other reasons.

        `stored` is what `stored_reasons` gives for these decisions.
        """
        made = {test.name: test.failing(decisions) for test in self.tests}
        nobody = np.zeros(decisions.num_rows, np.bool_)
        found = {name: made.get(name, stored.get(name, nobody)) for name in self._order}
        if not self._all_by_tests:
            found |= {name: who for name, who in stored.items() if name not in found and name not in self._gone}
        return found


def stored_reasons(reasons: pa.ChunkedArray) -> dict[str, Bools]:
    """Which documents have each word that occurs in a column of lists of words, such as reasons; null is no word."""
    lists = reasons.combine_chunks()
    words = lists.flatten().dictionary_encode()
    documents, codes = pc.list_parent_indices(lists).to_numpy(), words.indices.to_numpy()
    found = {}
    for code, reason in enumerate(words.dictionary.to_pylist()):
        found[reason] = np.zeros(len(lists), np.bool_)
        found[reason][documents[codes == code]] = True
    return found


def passing(failing: Iterable[Bools], documents: int) -> Bools:
    """Which of so many documents fail nothing."""
    passes = np.ones(documents, np.bool_)
    for fails in failing:
        passes &= ~fails
    return passes
