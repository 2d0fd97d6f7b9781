"""Signals of Gopher's repetition rules: how much of a text stands in repeated paragraphs, lines and word n-grams.

Source: Rae et al., "Scaling Language Models" (arXiv 2112.11446), appendix A1, table A1, in the reading that FineWeb
gave it.
Notable:
- "Duplicate" means the second and later occurrences; the first is not counted.
- The most frequent 2-, 3- or 4-gram counts even where it occurs once, so a short text of long words can fail.
- Duplicate 5- to 10-grams are found by a greedy scan from the left which jumps over what it has counted, and compares
  the n words joined without spaces, so that "can not" and "cannot" are not told apart inside an n-gram.
- No n-gram is built from its words: frequent ones are counted as numbers, repeated ones looked for by rolling hashes
  first, and only where a hash repeats are strings compared.
- Every ratio of characters is to the length of the whole text, white space included.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from tasks.filters.text_units import TextUnits

TOP_NGRAM_SIZES = (2, 3, 4)
"""Sizes in words of which the most frequent n-gram is weighed."""

DUPLICATE_NGRAM_SIZES = (5, 6, 7, 8, 9, 10)
"""Sizes in words of which all repeated n-grams are weighed."""


def measure_repetition(units: TextUnits) -> dict[str, float]:
    """The repetition signals of a text; an empty text has zeros.

    duplicate_{paragraphs,lines}_ratio: repeated ones among all; ..._chars_ratio: their characters in the text.
    all_lines: with blank lines as lines too, as when FineWeb was made; for lines, newlines in a row are one break.
    top_{n}_gram_ratio, duplicate_{n}_gram_ratio: characters of the most frequent, of all repeated n-grams. All are
    shares but the top ratios: an n-gram that overlaps itself counts some characters twice.
    """
    text = units.text
    signals: dict[str, float] = {}
    for name, parts in (
        ("paragraph", units.paragraphs),
        ("line", units.line_blocks),
        ("all_line", units.lines),
    ):
        repeated, characters = count_repeated(parts)
        signals[f"duplicate_{name}s_ratio"] = repeated / len(parts) if parts else 0.0
        signals[f"duplicate_{name}_chars_ratio"] = characters / len(text) if text else 0.0
    top_characters = _top_ngram_characters(units.words)
    duplicate_characters = _duplicate_ngram_characters(units.words)
    for name, sizes, counted in (
        ("top", TOP_NGRAM_SIZES, top_characters),
        ("duplicate", DUPLICATE_NGRAM_SIZES, duplicate_characters),
    ):
        for n, characters in zip(sizes, counted, strict=True):
            signals[f"{name}_{n}_gram_ratio"] = characters / len(text) if text else 0.0
    return signals


def count_repeated(parts: Sequence[str]) -> tuple[int, int]:
    """How many of `parts` are second or later occurrences, and how many characters these have."""
    if len(seen := set(parts)) == len(parts):
        return 0, 0
    return len(parts) - len(seen), sum(map(len, parts)) - sum(map(len, seen))


def _top_ngram_characters(words: list[str]) -> list[int]:
    """For each size the length of the most frequent n-gram (of equals the first), spaces included, times its count."""
    numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
    word_numbers = np.fromiter(map(numbers.__getitem__, words), np.int64, len(words))
    starts = np.array([0, *accumulate(len(word) + 1 for word in words)])
    ngrams = word_numbers
    characters = []
    for n in TOP_NGRAM_SIZES:
        if len(words) < n:
            characters.append(0)
            continue
        # An n-gram is numbered by its first n-1 words and its last one, which is exact and needs no strings.
        pairs = ngrams[:-1] * len(numbers) + word_numbers[n - 1 :]
        _, firsts, ngrams, counts = np.unique(pairs, return_index=True, return_inverse=True, return_counts=True)
        count = counts.max()
        first = firsts[counts == count].min()
        characters.append(int(starts[first + n] - starts[first] - 1) * int(count))
    return characters


def _duplicate_ngram_characters(words: list[str]) -> list[int]:
    """For each size the characters of repeated n-grams that do not overlap, by a greedy scan from the left."""
    joined, starts = "".join(words), [0, *accumulate(map(len, words))]
    hashes = _SubstringHashes(joined)
    places = np.array(starts)
    characters = []
    for n in DUPLICATE_NGRAM_SIZES:
        candidates = hashes.repeated(places[:-n], places[n:])
        characters.append(_scan_for_duplicates(joined, starts, n, candidates) if candidates else 0)
    return characters


def _scan_for_duplicates(joined: str, starts: list[int], n: int, candidates: list[int]) -> int:
    """The greedy scan, over the words at which an n-gram begins that may occur twice: others can never be counted."""
    seen: set[str] = set()
    characters = free_from = 0
    for position in candidates:
        if position < free_from:
            continue
        ngram = joined[starts[position] : starts[position + n]]
        if ngram in seen:
            characters += len(ngram)
            free_from = position + n
        else:
            seen.add(ngram)
    return characters


class _SubstringHashes:
    """Tells which substrings of a text may be equal, by their polynomial hashes modulo 2^64.

    Equal strings have equal hashes, so what is not told is certainly unique; what is told must be compared as strings.
    """

    _BASE = 0x9E3779B97F4A7C15
    _INVERSE = pow(_BASE, -1, 1 << 64)

    def __init__(self, text: str) -> None:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64) + np.uint64(1)
        self._prefixes = np.concatenate(([np.uint64(0)], np.cumsum(codes * _powers(self._BASE, len(codes)))))
        self._shifts = _powers(self._INVERSE, len(codes) + 1)

    def repeated(self, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> list[int]:
        """The numbers, ascending, of those substrings from `starts` to `ends` that may have an equal among them."""
        hashes = (self._prefixes[ends] - self._prefixes[starts]) * self._shifts[starts]
        ordered = np.sort(hashes)
        equal = ordered[1:] == ordered[:-1]
        if not equal.any():
            return []
        found: list[int] = np.flatnonzero(np.isin(hashes, ordered[1:][equal])).tolist()
        return found


def _powers(base: int, count: int) -> npt.NDArray[np.uint64]:
    """base^0, base^1, ... modulo 2^64, [count]."""
    powers = np.full(count, base, np.uint64)
    powers[:1] = 1
    return np.cumprod(powers, dtype=np.uint64)
