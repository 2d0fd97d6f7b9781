"""The words of a page's runs, in one row, and which of their n-grams another text has."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f"
_ASCII_WORD = re.compile(r"\w+")
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case; in scripts without spaces each character is one."""
    return (_ASCII_WORD if text.isascii() else _WORD).findall(text.lower())


@dataclass(frozen=True, slots=True)
class RunWords:
    """The words of runs, one run after the other."""

    words: list[str]
    starts: Ints
    """[runs]"""
    ends: Ints
    """[runs]"""

    @classmethod
    def of(cls, texts: Iterable[str]) -> "RunWords":
        """Split texts."""
        by_run = [words_of(text) for text in texts]
        ends = np.cumsum([len(words) for words in by_run], dtype=np.int64)
        starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
        return cls([word for words in by_run for word in words], starts, ends)

    @property
    def counts(self) -> Ints:
        """Words of each run, [runs]."""
        return self.ends - self.starts

    def ngrams_found_in(self, text: list[str], n: int) -> Floats:
        """Return how many of the first k n-grams of all the runs the words of a text have, [k from 0 to all]."""
        wanted = set(zip(*(text[skipped:] for skipped in range(n)), strict=False))
        ours = zip(*(self.words[skipped:] for skipped in range(n)), strict=False)
        found = np.fromiter(map(wanted.__contains__, ours), np.float64, max(len(self.words) - n + 1, 0))
        return np.concatenate([np.zeros(1), np.cumsum(found)])
