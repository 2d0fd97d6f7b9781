"""DCLM's signals: Gopher's rules as DCLM-baseline reads them, on a text without its addresses.

Source: Li et al., "DataComp-LM" (arXiv 2406.11794), and the configuration published with it.
Notable, where it differs from `gopher_quality` and `gopher_repetition`:
- Words are what white space separates, their marks with them; stop words are counted as occurrences, in any case. Only
  the length rules leave out words that begin with a mark, as a quotation mark before a word does.
- "Duplicate" means every occurrence of what is repeated, the first included.
- N-grams are of words without punctuation, split as Unicode's word boundaries do ("it's" is one word). Their ratios are
  to the characters of these words, those of lines to the characters of lines: no ratio counts the white space between.
- The most frequent n-gram counts only where it is repeated; of equally frequent ones the longest counts. Repeated 5- to
  10-grams are measured by the words in any of them, none twice.
- What the line removers take is measured as a share of the words; a text without a word has lost all.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import filterfalse, product
from typing import Final, NamedTuple

import pyarrow as pa

from tasks.dataset.rules import Threshold
from tasks.filter.ngrams import NumberedWords, covered_characters, repeated_ngrams
from tasks.filter.rules.dclm_lines import count_words, remove_lines, strip_addresses
from tasks.filter.rules.gopher_repetition import DUPLICATE_NGRAM_SIZES, NGRAM_RULES, TOP_NGRAM_SIZES
from tasks.filter.stop_word_lists import GOPHER_STOP_WORDS
from tasks.filter.text_units import TextUnits, ratio

STOP_WORDS = frozenset(
    "".join(letters) for word in GOPHER_STOP_WORDS for letters in product(*zip(word, word.upper(), strict=True))
)
"""The stop words of Gopher, in every mixture of lower and upper case."""

SIGNALS: Final = {
    "dclm_words": pa.int32(),  # words that begin with a letter or a digit
    "dclm_mean_word_length": pa.float64(),  # of all words, their marks included
    "dclm_symbol_ratio": pa.float64(),  # "#", "...", ". . ." and "…" for each word
    "dclm_bullet_lines_ratio": pa.float64(),  # share of lines but blank ones that begin with a bullet
    "dclm_ellipsis_lines_ratio": pa.float64(),  # share of lines but blank ones that end in an ellipsis
    "dclm_non_alpha_words_ratio": pa.float64(),  # words without a letter
    "dclm_stop_word_occurrences": pa.int32(),
    "dclm_duplicate_lines_ratio": pa.float64(),  # repeated ones among all but blank ones
    "dclm_duplicate_line_chars_ratio": pa.float64(),  # the same by length
    "dclm_duplicate_paragraphs_ratio": pa.float64(),
    "dclm_duplicate_paragraph_chars_ratio": pa.float64(),
    # Characters of the most frequent n-gram, and of all repeated ones.
    **{f"dclm_top_{n}_gram_ratio": pa.float64() for n in TOP_NGRAM_SIZES},
    **{f"dclm_duplicate_{n}_gram_ratio": pa.float64() for n in DUPLICATE_NGRAM_SIZES},
    "dclm_removed_words_ratio": pa.float64(),  # share of the words in lines and phrases that are gone
}
"""What `measure_dclm` gives, with the type of its column; 0 where there is nothing to divide by, but for the last."""

RULES: Final = (
    Threshold("dclm_min_words", "dclm_words", "<", 50),
    Threshold("dclm_max_words", "dclm_words", ">", 100_000),
    Threshold("dclm_min_mean_word_length", "dclm_mean_word_length", "<", 3),
    Threshold("dclm_max_mean_word_length", "dclm_mean_word_length", ">", 10),
    Threshold("dclm_symbols", "dclm_symbol_ratio", ">", 0.1),
    Threshold("dclm_bullet_lines", "dclm_bullet_lines_ratio", ">", 0.9),
    Threshold("dclm_ellipsis_lines", "dclm_ellipsis_lines_ratio", ">", 0.3),
    Threshold("dclm_non_alpha_words", "dclm_non_alpha_words_ratio", ">", 0.2),
    Threshold("dclm_stop_word_occurrences", "dclm_stop_word_occurrences", "<", 2),
    Threshold("dclm_duplicate_lines", "dclm_duplicate_lines_ratio", ">", 0.30),
    Threshold("dclm_duplicate_paragraphs", "dclm_duplicate_paragraphs_ratio", ">", 0.30),
    Threshold("dclm_duplicate_line_chars", "dclm_duplicate_line_chars_ratio", ">", 0.20),
    Threshold("dclm_duplicate_paragraph_chars", "dclm_duplicate_paragraph_chars_ratio", ">", 0.20),
    *(Threshold(r.name.replace("gopher", "dclm"), f"dclm_{r.signal}", r.comparison, r.limit) for r in NGRAM_RULES),
    Threshold("dclm_removed_words", "dclm_removed_words_ratio", ">", 0.05),
)
"""The thresholds of n-grams are Gopher's."""


class MeasuredDclm(NamedTuple):
    """What DCLM measures, all of `SIGNALS`, and the text without addresses and without the lines that it removes."""

    signals: dict[str, float]
    text: str


def measure_dclm(whole: TextUnits) -> MeasuredDclm:
    """Measure `SIGNALS` of a text, and clean it."""
    stripped = strip_addresses(whole.text)
    units = whole if stripped == whole.text else TextUnits(stripped)
    text, words = units.text, units.pieces
    lines = _filled(text.split("\n"))
    others = list(filterfalse(str.isalpha, words))
    n_words = len(words) - len(others) + count_words(others)
    without_letter = sum(not any(map(str.isalpha, word)) for word in others)
    bullets = sum(line.startswith(("●", "•", "*", "-")) for line in lines)
    ellipses = sum(line.endswith(("...", ". . .", "…")) for line in lines)
    kept = remove_lines(units)
    signals = {
        "dclm_words": n_words,
        "dclm_mean_word_length": ratio(len("".join(words)), len(words)),
        "dclm_symbol_ratio": ratio(sum(map(text.count, ("#", "...", ". . .", "…"))), len(words)),
        "dclm_bullet_lines_ratio": ratio(bullets, len(lines)),
        "dclm_ellipsis_lines_ratio": ratio(ellipses, len(lines)),
        "dclm_non_alpha_words_ratio": ratio(without_letter, len(words)),
        "dclm_stop_word_occurrences": len(list(filter(STOP_WORDS.__contains__, words))),
        **_measure_repetition(units, lines),
        "dclm_removed_words_ratio": kept.n_words_removed / n_words if n_words else 1.0,
    }
    return MeasuredDclm(signals, kept.text)


def _measure_repetition(units: TextUnits, lines: list[str]) -> dict[str, float]:
    """Measure DCLM's reading of Gopher's repetition signals."""
    signals: dict[str, float] = {}
    for name, parts in (("line", lines), ("paragraph", _filled(units.text.split("\n\n")))):
        repeated, characters = _count_repeated(parts)
        signals[f"dclm_duplicate_{name}s_ratio"] = ratio(repeated, len(parts))
        signals[f"dclm_duplicate_{name}_chars_ratio"] = ratio(characters, sum(map(len, parts)) if characters else 1)
    words = NumberedWords(units.plain_words)
    starts = words.starts
    for ngrams in repeated_ngrams(words, range(2, DUPLICATE_NGRAM_SIZES[-1] + 1)):
        if ngrams.size in TOP_NGRAM_SIZES:
            name, (count, places) = "top", ngrams.most_frequent()
            characters = count * int(max(starts[places + ngrams.size] - starts[places], default=0))
        else:
            name, characters = "duplicate", covered_characters(ngrams, words)
        signals[f"dclm_{name}_{ngrams.size}_gram_ratio"] = ratio(characters, int(starts[-1]))
    return signals


def _filled(parts: Iterable[str]) -> list[str]:
    return [stripped for part in parts if (stripped := part.strip())]


def _count_repeated(parts: list[str]) -> tuple[int, int]:
    """Return how many of `parts` have an equal among them, and how many characters these have."""
    if len(set(parts)) == len(parts):
        return 0, 0
    repeated = [(part, count) for part, count in Counter(parts).items() if count > 1]
    return sum(count for _, count in repeated), sum(len(part) * count for part, count in repeated)
