"""Words as numbers, and which n-grams of them occur more than once, found size by size without building one.

Notable:
- An n-gram can only be repeated where its first n-1 words and its last n-1 words both are, so each size looks only at
  what the size before left; in most texts little is left beyond pairs of words.
- Words are numbered by their hashes, polynomials modulo 2^64, so that numpy does it and no table of words is built.
  Only words of more than a thousand characters, made for the purpose, can differ and have equal hashes.
"""

from collections.abc import Iterator
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

_BASE = 0x9E3779B97F4A7C15


class NumberedWords:
    """Words in order, each with a number that equal words share."""

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.joined = "".join(words)
        """All words without anything between them."""
        self.starts: Ints = np.zeros(len(words) + 1, np.int64)
        """Where each word begins in `joined`, and last the length of that."""
        np.cumsum(np.fromiter(map(len, words), np.int64, len(words)), out=self.starts[1:])
        self.hashes = SubstringHashes(self.joined)
        """Of any part of `joined`."""
        order = np.argsort(hashes := self.hashes.of(self.starts[:-1], self.starts[1:]))
        ordered = hashes[order]
        firsts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if words else order
        self.numbers: Ints = np.empty(len(words), np.int64)
        """The number of each word."""
        ranks = np.zeros(len(words), np.int64)
        ranks[firsts[1:]] = 1
        self.numbers[order] = np.cumsum(ranks)
        self._places = order[firsts]  # of one word for each number

    @property
    def n_distinct(self) -> int:
        """How many words are different."""
        return len(self._places)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How often each distinct word occurs."""
        words = map(self.words.__getitem__, self._places.tolist())
        return dict(zip(words, np.bincount(self.numbers).tolist(), strict=True))


class SubstringHashes:
    """The polynomial hashes of parts of a text, modulo 2^64; equal parts have equal hashes."""

    def __init__(self, text: str) -> None:
        codes = code_points(text).astype(np.uint64) + np.uint64(1)
        powers, self._shifts = _powers(1 << len(codes).bit_length())
        self._prefixes = np.zeros(len(codes) + 1, np.uint64)
        np.cumsum(codes * powers[: len(codes)], out=self._prefixes[1:])

    def of(self, starts: Ints, ends: Ints) -> Hashes:
        """Return the hashes of the parts from `starts` to `ends`."""
        hashes: Hashes = (self._prefixes[ends] - self._prefixes[starts]) * self._shifts[starts]
        return hashes


@lru_cache(maxsize=16)
def _powers(count: int) -> tuple[Hashes, Hashes]:
    """base^0, base^1, ... modulo 2^64, and the same of the base's inverse, [count] each."""
    bases = np.array([[_BASE], [pow(_BASE, -1, 1 << 64)]], np.uint64).repeat(count, axis=1)
    bases[:, 0] = 1
    powers = np.cumprod(bases, axis=1, dtype=np.uint64)
    return powers[0], powers[1]


class RepeatedNgrams:
    """The n-grams of one size that occur more than once."""

    def __init__(self, size: int, places: Ints, numbers: Ints) -> None:
        self.size = size
        """Words in each."""
        self.places = places
        """Numbers of the words at which they begin, ascending."""
        self._numbers = numbers  # of the n-gram at each place: equal ones have equal numbers

    def most_frequent(self) -> tuple[int, Ints]:
        """Return how often the most frequent n-grams occur, 0 if none is repeated, and where they begin."""
        if not len(self.places):
            return 0, self.places
        counts = np.bincount(self._numbers)
        most = int(counts.max())
        return most, self.places[counts[self._numbers] == most]


def repeated_ngrams(words: NumberedWords, sizes: range) -> Iterator[RepeatedNgrams]:
    """For each of `sizes`, which begin at 2, the repeated n-grams of `words`."""
    places, last = np.arange(len(words.words), dtype=np.int64), words.numbers
    for size in sizes:
        if len(places):
            followed = places[1:] == places[:-1] + 1  # the n-gram without its first word is repeated too
            places = places[:-1][followed]
            keys = last[:-1][followed] * words.n_distinct + words.numbers[places + size - 1]
            repeated, last = where_repeated(keys)
            places = places[repeated]
        yield RepeatedNgrams(size, places, last)


def where_repeated(keys: npt.NDArray[np.integer]) -> tuple[Ints, Ints]:
    """Return where `keys` has values that occur more than once, ascending, and a number for each of these values."""
    order = np.argsort(keys)
    ordered = keys[order]
    new = ordered[1:] != ordered[:-1]
    if new.all():
        return order[:0], order[:0]
    ranks = np.zeros(len(keys), np.int64)
    np.cumsum(new, out=ranks[1:])
    numbers = np.empty_like(ranks)
    numbers[order] = ranks
    repeated = np.flatnonzero(np.bincount(ranks)[numbers] > 1)
    return repeated, numbers[repeated]


def covered_characters(ngrams: RepeatedNgrams, words: NumberedWords) -> int:
    """Characters of the words that stand in any of `ngrams`, none counted twice."""
    places = ngrams.places
    if not len(places):
        return 0
    ends = places + ngrams.size
    np.minimum(ends[:-1], places[1:], out=ends[:-1])
    return int((words.starts[ends] - words.starts[places]).sum())


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """Return the code point of each character of `text`, lone surrogates among them: [characters]."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
