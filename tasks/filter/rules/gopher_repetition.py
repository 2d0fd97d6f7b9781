"""Signals of Gopher's repetition rules: how much of a text stands in repeated paragraphs, lines and word n-grams.

Source: Rae et al., "Scaling Language Models" (arXiv 2112.11446), appendix A1, table A1, in the reading that FineWeb
gave it.
Notable:
- "Duplicate" means the second and later occurrences; the first is not counted.
- The most frequent 2-, 3- or 4-gram counts even where it occurs once, so a short text of long words can fail.
- Duplicate 5- to 10-grams are found by a greedy scan from the left which jumps over what it has counted, and compares
  the n words joined without spaces, so that "can not" and "cannot" are not told apart inside an n-gram.
- No n-gram is built from its words: frequent ones are counted as numbers; repeated ones are found by their hashes, and
  strings are compared only where a hash repeats.
- Every ratio of characters is to the length of the whole text, white space included.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from tasks.dataset.rules import Threshold
from tasks.filter.ngrams import Ints, NumberedWords, repeated_ngrams, where_repeated
from tasks.filter.text_units import TextUnits, ratio

_TOP_LIMITS = {2: 0.20, 3: 0.18, 4: 0.16}
TOP_NGRAM_SIZES = tuple(_TOP_LIMITS)
"""Sizes in words of which the most frequent n-gram is weighed."""

_DUPLICATE_LIMITS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
DUPLICATE_NGRAM_SIZES = tuple(_DUPLICATE_LIMITS)
"""Sizes in words of which all repeated n-grams are weighed."""

_PREFIX = 12  # characters by which n-grams are told apart first

SIGNALS: Final = {
    # Repeated ones among all, and their characters in the text.
    "duplicate_paragraphs_ratio": pa.float64(),
    "duplicate_paragraph_chars_ratio": pa.float64(),
    # Newlines in a row are one break.
    "duplicate_lines_ratio": pa.float64(),
    "duplicate_line_chars_ratio": pa.float64(),
    # With blank lines as lines too, as when FineWeb was made.
    "duplicate_all_lines_ratio": pa.float64(),
    "duplicate_all_line_chars_ratio": pa.float64(),
    # Characters of the most frequent n-gram, and of all repeated ones, in the text. An n-gram that overlaps itself
    # counts some characters twice, so a top ratio can be above 1.
    **{f"top_{n}_gram_ratio": pa.float64() for n in TOP_NGRAM_SIZES},
    **{f"duplicate_{n}_gram_ratio": pa.float64() for n in DUPLICATE_NGRAM_SIZES},
}
"""What `measure_repetition` gives, with the type of its column; an empty text has zeros."""

PARAGRAPH_RULES: Final = (
    Threshold("gopher_duplicate_paragraphs", "duplicate_paragraphs_ratio", ">", 0.30),
    Threshold("gopher_duplicate_paragraph_chars", "duplicate_paragraph_chars_ratio", ">", 0.20),
)
LINE_RULES: Final = (
    Threshold("gopher_duplicate_lines", "duplicate_lines_ratio", ">", 0.30),
    Threshold("gopher_duplicate_line_chars", "duplicate_line_chars_ratio", ">", 0.20),
)
ALL_LINE_RULES: Final = (
    Threshold("gopher_duplicate_all_lines", "duplicate_all_lines_ratio", ">", 0.30),
    Threshold("gopher_duplicate_all_line_chars", "duplicate_all_line_chars_ratio", ">", 0.20),
)
NGRAM_RULES: Final = (
    *(Threshold(f"gopher_top_{n}_gram", f"top_{n}_gram_ratio", ">", most) for n, most in _TOP_LIMITS.items()),
    *(
        Threshold(f"gopher_duplicate_{n}_gram", f"duplicate_{n}_gram_ratio", ">", most)
        for n, most in _DUPLICATE_LIMITS.items()
    ),
)


def measure_repetition(units: TextUnits) -> dict[str, float]:
    """Measure `SIGNALS` of a text."""
    text = units.text
    signals: dict[str, float] = {}
    for name, parts in (("paragraph", units.paragraphs), ("line", units.line_blocks), ("all_line", units.lines)):
        repeated, characters = count_repeated(parts)
        signals[f"duplicate_{name}s_ratio"] = ratio(repeated, len(parts))
        signals[f"duplicate_{name}_chars_ratio"] = ratio(characters, len(text))
    for n, characters in zip(TOP_NGRAM_SIZES, _top_ngram_characters(units.numbered_words), strict=True):
        signals[f"top_{n}_gram_ratio"] = ratio(characters, len(text))
    for n, characters in zip(DUPLICATE_NGRAM_SIZES, _duplicate_ngram_characters(units.numbered_words), strict=True):
        signals[f"duplicate_{n}_gram_ratio"] = ratio(characters, len(text))
    return signals


def count_repeated(parts: Sequence[str]) -> tuple[int, int]:
    """Return how many of `parts` are second or later occurrences, and how many characters these have."""
    if len(seen := set(parts)) == len(parts):
        return 0, 0
    return len(parts) - len(seen), sum(map(len, parts)) - sum(map(len, seen))


def _top_ngram_characters(words: NumberedWords) -> list[int]:
    """For each size the length of the most frequent n-gram (of equals the first), spaces included, times its count."""
    characters = []
    for ngrams in repeated_ngrams(words, range(2, TOP_NGRAM_SIZES[-1] + 1)):
        count, places = ngrams.most_frequent()
        first = places[0] if count else 0
        ngram = words.words[first : first + ngrams.size]
        characters.append(len(" ".join(ngram)) * max(1, count) if len(ngram) == ngrams.size else 0)
    return characters


def _duplicate_ngram_characters(words: NumberedWords) -> list[int]:
    """For each size the characters of repeated n-grams that do not overlap, by a greedy scan from the left."""
    starts, places = words.starts, _places_to_look_at(words)
    characters = []
    for n in DUPLICATE_NGRAM_SIZES:
        places = places[places < len(starts) - n]
        candidates = places[where_repeated(words.hashes.of(starts[places], starts[places + n]))[0]]
        characters.append(_scan_for_duplicates(words, n, candidates) if len(candidates) else 0)
    return characters


def _places_to_look_at(words: NumberedWords) -> Ints:
    """Return the words at which an n-gram of any size can begin that occurs twice; no other can.

    Equal strings of `_PREFIX` characters or more begin with as many equal characters; whatever is shorter stays in.
    """
    shortest, starts = DUPLICATE_NGRAM_SIZES[0], words.starts
    if len(words.words) < shortest:
        return starts[:0]
    begins = starts[:-shortest]
    prefixes = words.hashes.of(begins, np.minimum(begins + _PREFIX, starts[-1]))
    looked_at = starts[shortest:] - begins < _PREFIX
    looked_at[where_repeated(prefixes)[0]] = True
    return np.flatnonzero(looked_at)


def _scan_for_duplicates(words: NumberedWords, n: int, candidates: Ints) -> int:
    """Count by the greedy scan, over the words at which an n-gram begins that may occur twice: no other can count."""
    seen: set[str] = set()
    characters = free_from = 0
    begins, ends = words.starts[candidates].tolist(), words.starts[candidates + n].tolist()
    for position, begin, end in zip(candidates.tolist(), begins, ends, strict=True):
        if position < free_from:
            continue
        ngram = words.joined[begin:end]
        if ngram in seen:
            characters += end - begin
            free_from = position + n
        else:
            seen.add(ngram)
    return characters
