"""Evaluation items as what is looked for: question, answer and passage, and an index of the n-grams of their words.

Notable: the shape is that of decon (Allen AI, 2025): an n-gram weighs by its rarity among the items, and a text holds
an item if it has enough of that weight; the shorter the item, the more of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.base.errors import UsageError
from tasks.base.plain_data import lines_of, parse_json
from tasks.contamination.words import UInt32s, hashed_words

N_GRAM = 3
"""Words: in a paraphrase, each other word changes three of them."""
SHORT, LONG = 10, 25
"""Words of a part, question or passage, that has to be there as a whole, and from which on the threshold is enough."""
_TABLE_BITS = 20
_ODD = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D], np.uint32)


@dataclass(frozen=True)
class EvaluationItem:
    """An item of an evaluation task, as plain text."""

    task: str
    item: int
    """Its number in the task's file, from 0."""
    question: str
    answer: str = ""
    passage: str = ""

    @property
    def name(self) -> str:
        """E.g. `arithmetic/17`."""
        return f"{self.task}/{self.item}"


@dataclass(frozen=True)
class _Part:
    """The question or the passage of an item."""

    item: int
    grams: UInt32s
    """Its n-grams' hashes, each once."""
    words: int


def ngrams(words: UInt32s) -> UInt32s:
    """Return the hashes of all runs of `N_GRAM` words, [words - N_GRAM + 1]; of fewer words, of all of them."""
    size = min(N_GRAM, len(words))
    if not size:
        return words
    last = len(words) - size + 1
    found = words[:last] * _ODD[0]
    for place in range(1, size):
        found = (found ^ (found >> np.uint32(15))) + words[place : place + last] * _ODD[place]
    return found


class ItemIndex:
    """Which n-gram is of which part of which item, and how much it weighs."""

    def __init__(self, items: Sequence[EvaluationItem]) -> None:
        self.items = items
        self.parts: list[_Part] = []
        for number, item in enumerate(items):
            for text in filter(None, (item.question, item.passage)):
                words = words_of(text)
                if len(words):
                    self.parts.append(_Part(number, np.unique(ngrams(words)), len(words)))
        pairs = np.concatenate([part.grams for part in self.parts] or [np.empty(0, np.uint32)])
        owners = np.repeat(np.arange(len(self.parts)), [len(part.grams) for part in self.parts])
        order = np.argsort(pairs, kind="stable")
        self.grams, self._first, counts = np.unique(pairs[order], return_index=True, return_counts=True)
        self._counts, self._owners = counts, owners[order]
        self.weights = np.log1p(len(self.parts) / counts) if len(counts) else np.empty(0)
        self.totals = np.array([self.weights[np.searchsorted(self.grams, part.grams)].sum() for part in self.parts])
        self.words = np.array([part.words for part in self.parts])
        self._maybe = np.zeros(1 << _TABLE_BITS, np.bool_)
        self._maybe[self.grams >> np.uint32(32 - _TABLE_BITS)] = True

    @cached_property
    def answers(self) -> list[UInt32s]:
        """The n-grams of each item's answer."""
        return [ngrams(words_of(item.answer)) for item in self.items]

    def places(self, grams: UInt32s) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return which of `grams` are of an item, and where in `self.grams` each of those stands."""
        likely = np.flatnonzero(self._maybe[grams >> np.uint32(32 - _TABLE_BITS)])
        found = np.searchsorted(self.grams, grams[likely])
        found[found == len(self.grams)] = 0
        right = self.grams[found] == grams[likely] if len(self.grams) else np.zeros(len(likely), np.bool_)
        return likely[right], found[right]

    def owners(self, gram: int) -> npt.NDArray[np.int64]:
        """Return the parts that have an n-gram."""
        return self._owners[self._first[gram] : self._first[gram] + self._counts[gram]]

    @property
    def shared_by(self) -> npt.NDArray[np.int64]:
        """How many parts have each n-gram."""
        return self._counts


def words_of(text: str) -> UInt32s:
    """Return the hashes of a text's words."""
    return hashed_words(pa.array([text], pa.string())).hashes


def read_items(content: bytes, where: str) -> list[EvaluationItem]:
    """Return the items of a JSONL file, {"task", "item", "question", "answer", "passage"} a line; `UsageError`."""
    items = []
    for number, line in lines_of(content):
        try:
            items.append(EvaluationItem(**parse_json(line)))
        except (ValueError, TypeError) as error:
            raise UsageError(f"{where}, line {number}: an evaluation item is expected: {error}") from error
    return items
