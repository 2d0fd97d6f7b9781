"""Two ways to hide part of a text and to ask for it: single tokens (BERT), and spans (T5).

Notable:
- How many tokens are hidden is a function of a segment's length alone, so that every process knows how many predictions
  a step has without reading the others' rows. Which ones are drawn from the generator that is given.
- The ids that stand for what is hidden are the topmost of the vocabulary, where no tokenizer may have its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from model.base.config import ModelShape
from model.base.sizes import reserved_ids
from model.data.packed_sequences import IGNORED, IntArray

_HIDDEN_PERCENT = 15
"""Share of the tokens, both in BERT (arXiv:1810.04805, section 3.1) and in T5 (arXiv:1910.10683, section 3.1.4)."""
_MEAN_SPAN = 3
"""Tokens of a span on average (arXiv:1910.10683, section 3.3.4)."""
_MASKED, _RANDOM = 0.8, 0.1
"""Of the tokens that BERT asks for: shown as the mask, as a random token; the rest as they are (appendix A.1)."""
_SHORTEST = 2
"""Tokens of the shortest segment of which anything is hidden: something must stay to be seen."""


@dataclass(frozen=True)
class Corrupted:
    """A segment with part of it hidden."""

    shown: IntArray
    """What the encoder reads."""
    answer: IntArray
    """What the decoder reads; empty where there is none."""
    targets: IntArray
    """What is to be predicted at each position of the answer, or of what is shown where there is no decoder; `IGNORED`
    where nothing is."""


_NOTHING = np.empty(0, dtype=np.int64)


class Corruption(Protocol):
    """A way to hide part of a text."""

    @property
    def has_answers(self) -> bool:
        """Whether a decoder writes what is hidden; else it is predicted where it was."""

    def target_counts(self, lengths: IntArray) -> IntArray:
        """How many predictions segments of these lengths have."""

    def corrupt(self, tokens: IntArray, draws: np.random.Generator) -> Corrupted:
        """A segment's `tokens` with part of them hidden."""


@dataclass(frozen=True)
class MaskedTokens:
    """BERT's: 15% of the tokens are asked for; most of them are shown as a mask."""

    mask: int
    """Id of the mask; ids below it are tokens."""
    has_answers = False

    def target_counts(self, lengths: IntArray) -> IntArray:
        """One prediction for each hidden token."""
        return _hidden(lengths)

    def corrupt(self, tokens: IntArray, draws: np.random.Generator) -> Corrupted:
        """The tokens, some of them masked or exchanged, and what those were."""
        count = int(_hidden(np.array([len(tokens)]))[0])
        chosen = draws.choice(len(tokens), count, replace=False)
        shown, targets = tokens.copy(), np.full_like(tokens, IGNORED)
        targets[chosen] = tokens[chosen]
        fate, random = draws.random(count), draws.integers(self.mask, size=count)
        shown[chosen] = np.where(fate < _MASKED, self.mask, np.where(fate < _MASKED + _RANDOM, random, tokens[chosen]))
        return Corrupted(shown, _NOTHING, targets)


@dataclass(frozen=True)
class MaskedSpans:
    """T5's: 15% of the tokens, in spans of three on average, make room for a sentinel each; the answer lists them."""

    first_sentinel: int
    """Id of the first span's sentinel; the next ones lie below it."""
    has_answers = True

    def target_counts(self, lengths: IntArray) -> IntArray:
        """The hidden tokens, the sentinels between them, and one that ends the answer. The first sentinel is given."""
        hidden = _hidden(lengths)
        return hidden + _spans(hidden)

    def corrupt(self, tokens: IntArray, draws: np.random.Generator) -> Corrupted:
        """`a b c d e f` with `c d` hidden: shown `a b <0> e f`; the decoder reads `<0> c d` and predicts `c d <1>`."""
        hidden = _hidden(np.array([len(tokens)]))
        count, spans = int(hidden[0]), int(_spans(hidden)[0])
        if not spans:
            return Corrupted(tokens, _NOTHING, _NOTHING)
        sentinels = self.first_sentinel - np.arange(spans + 1)
        # Between two spans something is seen; before the first and after the last there may be nothing.
        seen = _parts(len(tokens) - count + 2, spans + 1, draws)
        seen[[0, -1]] -= 1
        lengths = np.empty(2 * spans + 1, dtype=np.int64)
        lengths[0::2], lengths[1::2] = seen, _parts(count, spans, draws)
        pieces = np.split(tokens, np.cumsum(lengths)[:-1])
        marks = np.split(sentinels[:spans], spans)
        shown = [pieces[0], *(part for pair in zip(marks, pieces[2::2], strict=True) for part in pair)]
        answer = [part for pair in zip(marks, pieces[1::2], strict=True) for part in pair]
        listed = np.concatenate([*answer, sentinels[spans:]])
        return Corrupted(np.concatenate(shown), listed[:-1], listed[1:])


def corruption_of(objective: str, shape: ModelShape) -> Corruption | None:
    """The corruption of an objective, with the topmost ids of the vocabulary; None for `causal`, which hides nothing.

    Raises:
        ValueError: there is no such objective.
    """
    top = shape.vocab_size - 1
    reserved_ids(objective, shape.context)
    return {"causal": None, "masked": MaskedTokens(top), "span_corruption": MaskedSpans(top)}[objective]


def _hidden(lengths: IntArray) -> IntArray:
    count = np.maximum(1, (_HIDDEN_PERCENT * lengths + 50) // 100)
    return np.where(lengths < _SHORTEST, 0, count)


def _spans(hidden: IntArray) -> IntArray:
    return np.where(hidden == 0, 0, np.maximum(1, (hidden + _MEAN_SPAN // 2) // _MEAN_SPAN))


def _parts(total: int, count: int, draws: np.random.Generator) -> IntArray:
    """`total` cut into `count` parts of at least 1, every way equally likely."""
    cuts = np.sort(draws.choice(total - 1, count - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))
