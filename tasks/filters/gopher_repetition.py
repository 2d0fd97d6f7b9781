"""Signals of Gopher's repetition rules: how much of a text stands in repeated paragraphs, lines and word n-grams.

Source: Rae et al., "Scaling Language Models" (arXiv 2112.11446), appendix A1, table A1, in the reading that FineWeb
gave it.
Notable:
- "Duplicate" means the second and later occurrences; the first is not counted.
- The most frequent 2-, 3- or 4-gram counts even where it occurs once, so a short text of long words can fail.
- Duplicate 5- to 10-grams are found by a greedy scan from the left which jumps over what it has counted, and compares
  the n words joined without spaces, so that "can not" and "cannot" are not told apart inside an n-gram.
- All n-grams are slices of one joined string: no n-gram is ever built from its words.
- Every ratio of characters is to the length of the whole text, white space included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from operator import itemgetter

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
    words = units.words
    spaced, spaced_starts = " ".join(words), [0, *accumulate(len(word) + 1 for word in words)]
    for n in TOP_NGRAM_SIZES:
        characters = _top_ngram_characters(spaced, spaced_starts, n)
        signals[f"top_{n}_gram_ratio"] = characters / len(text) if text else 0.0
    joined, joined_starts = "".join(words), [0, *accumulate(map(len, words))]
    for n in DUPLICATE_NGRAM_SIZES:
        characters = _duplicate_ngram_characters(joined, joined_starts, n)
        signals[f"duplicate_{n}_gram_ratio"] = characters / len(text) if text else 0.0
    return signals


def count_repeated(parts: Sequence[str]) -> tuple[int, int]:
    """How many of `parts` are second or later occurrences, and how many characters these have."""
    if len(seen := set(parts)) == len(parts):
        return 0, 0
    return len(parts) - len(seen), sum(map(len, parts)) - sum(map(len, seen))


def _top_ngram_characters(spaced: str, starts: list[int], n: int) -> int:
    """Length of the most frequent n-gram (of equals the first), spaces included, times its count."""
    counts = Counter([spaced[start : end - 1] for start, end in zip(starts, starts[n:], strict=False)])
    if not counts:
        return 0
    ngram, count = max(counts.items(), key=itemgetter(1))
    return len(ngram) * count


def _duplicate_ngram_characters(joined: str, starts: list[int], n: int) -> int:
    """Characters of repeated n-grams that do not overlap, by a greedy scan from the left."""
    ngrams = [joined[start:end] for start, end in zip(starts, starts[n:], strict=False)]
    if len(set(ngrams)) == len(ngrams):
        return 0
    counts = Counter(ngrams)
    seen: set[str] = set()
    characters = free_from = 0
    # An n-gram that occurs once can neither be counted nor be met again, so only the others are scanned.
    for position, count in enumerate(map(counts.__getitem__, ngrams)):
        if count == 1 or position < free_from:
            continue
        ngram = ngrams[position]
        if ngram in seen:
            characters += len(ngram)
            free_from = position + n
        else:
            seen.add(ngram)
    return characters
