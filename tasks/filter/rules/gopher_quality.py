"""Signals of Gopher's quality rules: length, word length, symbols, bullets, ellipses, letters and stop words.

Source: Rae et al., "Scaling Language Models" (arXiv 2112.11446), appendix A1, in the reading that FineWeb gave it.
Notable:
- Words include punctuation marks in every denominator; only the length rules count words that are more than symbols.
- What is a symbol is FineWeb's set and not Unicode's: a lone bullet or an inverted question mark counts as a word.
- Stop words are counted both ways, as distinct ones (the paper) and as occurrences (FineWeb when it was made), always
  case-sensitively.
"""

import string
from collections.abc import Set
from typing import Final

import pyarrow as pa

from tasks.dataset.rules import Threshold
from tasks.filter.text_units import TextUnits, ratio

_CONTROL_CHARACTERS = "".join(map(chr, (*range(9), 11, 12, *range(13, 32), *range(127, 160))))
_TYPOGRAPHIC = "«»´–—’“”„…►∶━"
_EAST_ASIAN = "、。〈〉《》「」【】！％（），．１：；？～"
SYMBOLS = frozenset(string.punctuation + _CONTROL_CHARACTERS + _TYPOGRAPHIC + _EAST_ASIAN)
"""Characters that make no word by themselves (129 of them)."""

SIGNALS: Final = {
    "words": pa.int32(),  # words that are more than symbols
    "mean_word_length": pa.float64(),  # of these words, in characters
    "hash_ratio": pa.float64(),  # "#" for each word, symbols counted as words
    "ellipsis_ratio": pa.float64(),  # "..." or "…" for each word, symbols counted as words
    "bullet_lines_ratio": pa.float64(),  # share of lines that begin with a bullet
    "ellipsis_lines_ratio": pa.float64(),  # share of lines that end in an ellipsis
    "alpha_words_ratio": pa.float64(),  # share of all words that have a letter
    "stop_words": pa.int32(),  # distinct ones
    "stop_word_occurrences": pa.int32(),  # all their occurrences
}
"""What `measure_quality` gives, with the type of its column; a ratio to nothing is 0."""

RULES: Final = (
    Threshold("gopher_min_words", "words", "<", 50),
    Threshold("gopher_max_words", "words", ">", 100_000),
    Threshold("gopher_min_mean_word_length", "mean_word_length", "<", 3),
    Threshold("gopher_max_mean_word_length", "mean_word_length", ">", 10),
    Threshold("gopher_hashes", "hash_ratio", ">", 0.1),
    Threshold("gopher_ellipses", "ellipsis_ratio", ">", 0.1),
    Threshold("gopher_bullet_lines", "bullet_lines_ratio", ">", 0.9),
    Threshold("gopher_ellipsis_lines", "ellipsis_lines_ratio", ">", 0.3),
    Threshold("gopher_alpha_words", "alpha_words_ratio", "<", 0.8),
)
"""All but the two readings of the rule on stop words."""
STOP_WORDS_RULE: Final = Threshold("gopher_stop_words", "stop_words", "<", 2)
STOP_WORD_OCCURRENCES_RULE: Final = Threshold("gopher_stop_word_occurrences", "stop_word_occurrences", "<", 2)


def measure_quality(units: TextUnits, stop_words: Set[str]) -> dict[str, float]:
    """Measure `SIGNALS` of a text in a language with these stop words."""
    text, words, lines = units.text, units.numbered_words, units.lines
    n_words, n_lines = len(units.words), len(lines)
    n_symbols = n_symbol_characters = n_without_letter = 0
    for word, count in words.counts.items():
        if word.isalpha():
            continue
        if word in SYMBOLS or (len(word) > 1 and SYMBOLS.issuperset(word)):
            n_symbols += count
            n_symbol_characters += count * len(word)
        if len(word) == 1 or not any(map(str.isalpha, word)):
            n_without_letter += count
    found = [words.counts[word] for word in stop_words if word in words.counts]
    bullets = sum(line.lstrip().startswith(("•", "-")) for line in lines)
    ellipsis_ends = sum(line.rstrip().endswith(("...", "…")) for line in lines)
    return {
        "words": n_words - n_symbols,
        "mean_word_length": ratio(int(words.starts[-1]) - n_symbol_characters, n_words - n_symbols),
        "hash_ratio": ratio(text.count("#"), n_words),
        "ellipsis_ratio": ratio(text.count("...") + text.count("…"), n_words),
        "bullet_lines_ratio": ratio(bullets, n_lines),
        "ellipsis_lines_ratio": ratio(ellipsis_ends, n_lines),
        "alpha_words_ratio": ratio(n_words - n_without_letter, n_words),
        "stop_words": len(found),
        "stop_word_occurrences": sum(found),
    }
