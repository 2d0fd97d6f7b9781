"""Two ways to hide part of a text and to predict it: single tokens (BERT), and spans (T5).

Notable:
- How many tokens are hidden depends on a segment's length alone, so that every process knows how many predictions a
  step has without reading the others' rows. Which ones are hidden is drawn.
- The ids that replace what is hidden are the topmost of the vocabulary, which no tokenizer may use.
"""

from dataclasses import dataclass

import numpy as np

from model.base.sizes import ModelShape
from model.data.packed_sequences import IGNORED, IntArray

_HIDDEN_PERCENT = 15
"""Share of the tokens, both in BERT (arXiv:1810.04805, section 3.1) and in T5 (arXiv:1910.10683, section 3.1.4)."""
_MEAN_SPAN = 3
"""Tokens of a span on average (arXiv:1910.10683, section 3.3.4)."""
_MASKED, _RANDOM = 0.8, 0.1
"""Shares of the hidden tokens shown as the mask and as a random token; the rest stay (BERT, appendix A.1)."""
_SHORTEST = 2
"""Tokens of the shortest segment in which anything is hidden: something must stay visible."""


@dataclass(frozen=True)
class Corrupted:
    """A segment with part of it hidden."""

    shown: IntArray
    """What the encoder reads."""
    answer: IntArray
    """What the decoder reads; empty where there is none."""
    targets: IntArray
    """What is to be predicted at each position of the answer, or without a decoder of what is shown; else `IGNORED`."""


_NOTHING = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class MaskedTokens:
    """BERT's: 15% of the tokens are to be predicted; most of them are shown as a mask."""

    mask: int
    """Id of the mask; ids below it are tokens."""
    has_answers = False
    """Whether a decoder writes what is hidden; otherwise it is predicted in place."""

    def target_counts(self, lengths: IntArray) -> IntArray:
        """Return how many predictions segments of these lengths have: one for each hidden token."""
        return _hidden(lengths)

    def corrupt(self, tokens: IntArray, draws: np.random.Generator) -> Corrupted:
        """Mask or exchange some of the tokens; what they were is to be predicted."""
        count = int(_hidden(np.array([len(tokens)]))[0])
        chosen = draws.choice(len(tokens), count, replace=False)
        shown, targets = tokens.copy(), np.full_like(tokens, IGNORED)
        targets[chosen] = tokens[chosen]
        fate, random = draws.random(count), draws.integers(self.mask, size=count)
        shown[chosen] = np.where(fate < _MASKED, self.mask, np.where(fate < _MASKED + _RANDOM, random, tokens[chosen]))
        return Corrupted(shown, _NOTHING, targets)


@dataclass(frozen=True)
class MaskedSpans:
    """T5's: 15% of the tokens, in spans of three on average, give way to one sentinel a span; the answer lists them."""

    first_sentinel: int
    """Id of the first span's sentinel; the next ones lie below it."""
    has_answers = True

    def target_counts(self, lengths: IntArray) -> IntArray:
        """Count the hidden tokens, the sentinels between them, and one that ends the answer. The first is given."""
        hidden = _hidden(lengths)
        return hidden + _spans(hidden)

    def corrupt(self, tokens: IntArray, draws: np.random.Generator) -> Corrupted:
        """Hide spans: of `a b c d e f`, `a b <0> e f` is shown; the decoder reads `<0> c d` and predicts `c d <1>`."""
        hidden = _hidden(np.array([len(tokens)]))
        count, spans = int(hidden[0]), int(_spans(hidden)[0])
        if not spans:
            return Corrupted(tokens, _NOTHING, _NOTHING)
        sentinels = self.first_sentinel - np.arange(spans + 1)
        # Between two spans something is visible; before the first and after the last there may be nothing.
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


Corruption = MaskedTokens | MaskedSpans
"""A way to hide part of a text."""


def corruption_of(objective: str, shape: ModelShape) -> Corruption | None:
    """Return an objective's corruption, which uses the topmost ids of the vocabulary; None for `causal`."""
    top = shape.vocab_size - 1
    return {"causal": None, "masked": MaskedTokens(top), "span_corruption": MaskedSpans(top)}[objective]


def _hidden(lengths: IntArray) -> IntArray:
    count = np.maximum(1, (_HIDDEN_PERCENT * lengths + 50) // 100)
    return np.where(lengths < _SHORTEST, 0, count)


def _spans(hidden: IntArray) -> IntArray:
    return np.where(hidden == 0, 0, np.maximum(1, (hidden + _MEAN_SPAN // 2) // _MEAN_SPAN))


def _parts(total: int, count: int, draws: np.random.Generator) -> IntArray:
    """Cut `total` into `count` parts of at least 1, every way equally likely."""
    cuts = np.sort(draws.choice(total - 1, count - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))
