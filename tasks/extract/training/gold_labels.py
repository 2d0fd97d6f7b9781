"""Which runs of a page its gold text has: what the model of runs learns from."""

import re

import numpy as np

from tasks.extract.content.words import Floats, Ints, RunWords, words_of

_IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]*)\]\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)")
_FENCE = re.compile(r"^\s*(?:```|~~~).*$", re.MULTILINE)
_LINE_MARK = re.compile(r"^\s{0,3}(?:#{1,6}|>|[-*+]|\d+\.)\s+", re.MULTILINE)
_N = 4
_MIN_WORDS = 6
"""Words from which on a run is known by its own n-grams."""


def shares_in_gold(words: RunWords, gold: str) -> Floats:
    """Return the share of each run's word-4-grams that a gold text has, [runs].

    N-grams that reach into the neighbours count too, since a short run has none of its own: what stands between two
    runs of the gold as it does there is in the gold.
    """
    sums = words.ngrams_found_in(words_of(_plain(gold)), _N)
    touching = _mean(sums, words.starts - _N + 1, words.ends)
    inside = _mean(sums, words.starts, words.ends - _N + 1)
    return np.where(words.counts >= _MIN_WORDS, np.maximum(inside, touching), touching)


def _mean(sums: Floats, starts: Ints, ends: Ints) -> Floats:
    most = len(sums) - 1
    first = np.clip(starts, 0, most)
    last = np.maximum(np.clip(ends, 0, most), first)
    return (sums[last] - sums[first]) / np.maximum(last - first, 1)


def _plain(text: str) -> str:
    """Return the text without the marks of Markdown."""
    for pattern in (_IMAGE, _LINK):
        text = pattern.sub(r"\1", text)
    return _LINE_MARK.sub("", _FENCE.sub("", text))
