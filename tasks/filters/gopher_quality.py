"""Signals of Gopher's quality rules: length, word length, symbols, bullets, ellipses, letters and stop words.

Source: Rae et al., "Scaling Language Models" (arXiv 2112.11446), appendix A1, in the reading that FineWeb gave it.
Notable:
- Words include punctuation marks in every denominator; only the length rules count words that are more than symbols.
- What is a symbol is FineWeb's set and not Unicode's: a lone bullet or an inverted question mark counts as a word.
- Stop words are counted both ways, as distinct ones (the paper) and as occurrences (FineWeb when it was made), always
  case-sensitively.
"""

from __future__ import annotations

import string

from tasks.filters.text_units import TextUnits

_CONTROL_CHARACTERS = "".join(map(chr, (*range(9), 11, 12, *range(13, 32), *range(127, 160))))
_TYPOGRAPHIC = "«»´–—’“”„…►∶━"
_EAST_ASIAN = "、。〈〉《》「」【】！％（），．１：；？～"
SYMBOLS = frozenset(string.punctuation + _CONTROL_CHARACTERS + _TYPOGRAPHIC + _EAST_ASIAN)
"""Characters that make no word by themselves (129 of them)."""

STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))
"""The English words of which a text must show two."""


def measure_quality(units: TextUnits) -> dict[str, float]:
    """The quality signals of a text; ratios are 0 where there is nothing to divide by.

    words: words that are more than symbols. mean_word_length: their mean length in characters.
    hash_ratio, ellipsis_ratio: "#" and "..." or "…" for each word, symbols counted as words.
    bullet_lines_ratio, ellipsis_lines_ratio: share of lines that begin with a bullet, that end in an ellipsis.
    alpha_words_ratio: share of all words that have a letter.
    stop_words, stop_word_occurrences: distinct stop words, and all their occurrences.
    """
    text, words, lines = units.text, units.words, units.lines
    n_words, n_lines = len(words), len(lines)
    mixed = [word for word in words if not word.isalpha()]
    symbols = [word for word in mixed if SYMBOLS.issuperset(word)]
    n_alpha = n_words - len(mixed) + sum(any(map(str.isalpha, word)) for word in mixed if len(word) > 1)
    n_characters = len("".join(words)) - len("".join(symbols))
    stop_words = [word for word in words if word in STOP_WORDS]
    bullets = sum(line.lstrip().startswith(("•", "-")) for line in lines)
    ellipsis_ends = sum(line.rstrip().endswith(("...", "…")) for line in lines)
    return {
        "words": n_words - len(symbols),
        "mean_word_length": _ratio(n_characters, n_words - len(symbols)),
        "hash_ratio": _ratio(text.count("#"), n_words),
        "ellipsis_ratio": _ratio(text.count("...") + text.count("…"), n_words),
        "bullet_lines_ratio": _ratio(bullets, n_lines),
        "ellipsis_lines_ratio": _ratio(ellipsis_ends, n_lines),
        "alpha_words_ratio": _ratio(n_alpha, n_words),
        "stop_words": len(set(stop_words)),
        "stop_word_occurrences": len(stop_words),
    }


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
