"""Profiles: the published sets of filter rules, each rule a name, a signal, a comparison and a threshold.

Notable:
- A rule states when a document *fails*, strictly or not exactly as its source does: where FineWeb drops "0.12 or
  less", a text at 0.12 is dropped, while one at Gopher's 0.30 of duplicate lines stays.
- `fineweb` judges as the pipeline did that made the FineWeb data set; `datatrove` as that library's 0.10 does today,
  which counts distinct stop words and takes other marks for the end of a line. They share all other rules.
- `fineweb2` has the rules of FineWeb2, where paragraphs, short lines and C4 have no part. Its thresholds here are those
  for English; FineWeb2 has its own for each language, which a recipe gives as `language_thresholds`.
- `dclm` shares no signal with the others: it reads Gopher's rules its own way (see `dclm`).
- Signals carry their column types here, in the order of the decision columns. Ratios are 64-bit floats, so that a
  verdict from a stored signal is the verdict from the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import ge, gt, le, lt
from types import MappingProxyType
from typing import Final, Literal

import pyarrow as pa

from tasks.filter.gopher_repetition import DUPLICATE_NGRAM_SIZES, TOP_NGRAM_SIZES

ProfileName = Literal["gopher", "c4", "fineweb", "datatrove", "fineweb2", "dclm"]
Cleaning = Literal["c4", "dclm"]
Comparison = Literal["<", "<=", ">", ">="]
_COMPARE: Final = MappingProxyType({"<": lt, "<=": le, ">": gt, ">=": ge})

SIGNALS: Final[Mapping[str, pa.DataType]] = MappingProxyType(
    {
        "words": pa.int32(),
        "mean_word_length": pa.float64(),
        "hash_ratio": pa.float64(),
        "ellipsis_ratio": pa.float64(),
        "bullet_lines_ratio": pa.float64(),
        "ellipsis_lines_ratio": pa.float64(),
        "alpha_words_ratio": pa.float64(),
        "stop_words": pa.int32(),
        "stop_word_occurrences": pa.int32(),
        "duplicate_paragraphs_ratio": pa.float64(),
        "duplicate_paragraph_chars_ratio": pa.float64(),
        "duplicate_lines_ratio": pa.float64(),
        "duplicate_line_chars_ratio": pa.float64(),
        "duplicate_all_lines_ratio": pa.float64(),
        "duplicate_all_line_chars_ratio": pa.float64(),
        **{f"top_{n}_gram_ratio": pa.float64() for n in TOP_NGRAM_SIZES},
        **{f"duplicate_{n}_gram_ratio": pa.float64() for n in DUPLICATE_NGRAM_SIZES},
        "c4_lorem_ipsum_lines": pa.int32(),
        "c4_curly_bracket_lines": pa.int32(),
        "c4_sentences": pa.int32(),
        "c4_kept_lines_ratio": pa.float64(),
        "fineweb_terminal_lines_ratio": pa.float64(),
        "fineweb_sentence_lines_ratio": pa.float64(),
        "fineweb_short_lines_ratio": pa.float64(),
        "fineweb_duplicate_line_chars_ratio": pa.float64(),
        "fineweb_newlines_ratio": pa.float64(),
        "fineweb2_sentence_lines_ratio": pa.float64(),
        "fineweb2_duplicate_line_chars_ratio": pa.float64(),
        "fineweb2_newlines_ratio": pa.float64(),
        "dclm_words": pa.int32(),
        "dclm_mean_word_length": pa.float64(),
        "dclm_symbol_ratio": pa.float64(),
        "dclm_bullet_lines_ratio": pa.float64(),
        "dclm_ellipsis_lines_ratio": pa.float64(),
        "dclm_non_alpha_words_ratio": pa.float64(),
        "dclm_stop_word_occurrences": pa.int32(),
        "dclm_duplicate_lines_ratio": pa.float64(),
        "dclm_duplicate_line_chars_ratio": pa.float64(),
        "dclm_duplicate_paragraphs_ratio": pa.float64(),
        "dclm_duplicate_paragraph_chars_ratio": pa.float64(),
        **{f"dclm_top_{n}_gram_ratio": pa.float64() for n in TOP_NGRAM_SIZES},
        **{f"dclm_duplicate_{n}_gram_ratio": pa.float64() for n in DUPLICATE_NGRAM_SIZES},
        "dclm_removed_words_ratio": pa.float64(),
    }
)
"""Every signal that `measure` gives, with the type of its Parquet column, in column order."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason to drop a document: it fails when `signal` `comparison` `threshold` holds."""

    name: str
    """What a decision gives as its reason."""
    signal: str
    """A name of `SIGNALS`."""
    comparison: Comparison
    """How the signal must stand to the threshold for the document to fail."""
    threshold: float
    """In the unit of the signal."""

    def fails(self, signals: Mapping[str, float], threshold: float | None = None) -> bool:
        """Whether a document with these signals fails, under another threshold if one is given."""
        limit = self.threshold if threshold is None else threshold
        return bool(_COMPARE[self.comparison](signals[self.signal], limit))


# Gopher, table A1: thresholds of the n-gram rules by n.
_TOP_NGRAM_LIMITS = (0.20, 0.18, 0.16)
_DUPLICATE_NGRAM_LIMITS = (0.15, 0.14, 0.13, 0.12, 0.11, 0.10)

_NGRAM_RULES = (
    *(
        Rule(f"gopher_top_{n}_gram", f"top_{n}_gram_ratio", ">", limit)
        for n, limit in zip(TOP_NGRAM_SIZES, _TOP_NGRAM_LIMITS, strict=True)
    ),
    *(
        Rule(f"gopher_duplicate_{n}_gram", f"duplicate_{n}_gram_ratio", ">", limit)
        for n, limit in zip(DUPLICATE_NGRAM_SIZES, _DUPLICATE_NGRAM_LIMITS, strict=True)
    ),
)
_PARAGRAPH_RULES = (
    Rule("gopher_duplicate_paragraphs", "duplicate_paragraphs_ratio", ">", 0.30),
    Rule("gopher_duplicate_paragraph_chars", "duplicate_paragraph_chars_ratio", ">", 0.20),
)
_LINE_RULES = (
    Rule("gopher_duplicate_lines", "duplicate_lines_ratio", ">", 0.30),
    Rule("gopher_duplicate_line_chars", "duplicate_line_chars_ratio", ">", 0.20),
)
_ALL_LINE_RULES = (
    Rule("gopher_duplicate_all_lines", "duplicate_all_lines_ratio", ">", 0.30),
    Rule("gopher_duplicate_all_line_chars", "duplicate_all_line_chars_ratio", ">", 0.20),
)
_QUALITY_RULES = (
    Rule("gopher_min_words", "words", "<", 50),
    Rule("gopher_max_words", "words", ">", 100_000),
    Rule("gopher_min_mean_word_length", "mean_word_length", "<", 3),
    Rule("gopher_max_mean_word_length", "mean_word_length", ">", 10),
    Rule("gopher_hashes", "hash_ratio", ">", 0.1),
    Rule("gopher_ellipses", "ellipsis_ratio", ">", 0.1),
    Rule("gopher_bullet_lines", "bullet_lines_ratio", ">", 0.9),
    Rule("gopher_ellipsis_lines", "ellipsis_lines_ratio", ">", 0.3),
    Rule("gopher_alpha_words", "alpha_words_ratio", "<", 0.8),
)
_STOP_WORDS_RULE = Rule("gopher_stop_words", "stop_words", "<", 2)
_STOP_WORD_OCCURRENCES_RULE = Rule("gopher_stop_word_occurrences", "stop_word_occurrences", "<", 2)

_FINEWEB2_RULES = (
    _LINE_RULES[0],
    *_NGRAM_RULES,
    *_QUALITY_RULES,
    _STOP_WORDS_RULE,
    Rule("fineweb2_sentence_lines", "fineweb2_sentence_lines_ratio", "<", 0.12),
    Rule("fineweb2_duplicate_line_chars", "fineweb2_duplicate_line_chars_ratio", ">", 0.1),
    Rule("fineweb2_newlines", "fineweb2_newlines_ratio", ">", 0.3),
)

_C4_RULES = (
    Rule("c4_lorem_ipsum", "c4_lorem_ipsum_lines", ">", 0),
    Rule("c4_curly_bracket", "c4_curly_bracket_lines", ">", 0),
    Rule("c4_sentences", "c4_sentences", "<", 5),
)

_GOPHER_RULES = (*_PARAGRAPH_RULES, *_LINE_RULES, *_NGRAM_RULES, *_QUALITY_RULES, _STOP_WORDS_RULE)

_DCLM_RULES = (
    Rule("dclm_min_words", "dclm_words", "<", 50),
    Rule("dclm_max_words", "dclm_words", ">", 100_000),
    Rule("dclm_min_mean_word_length", "dclm_mean_word_length", "<", 3),
    Rule("dclm_max_mean_word_length", "dclm_mean_word_length", ">", 10),
    Rule("dclm_symbols", "dclm_symbol_ratio", ">", 0.1),
    Rule("dclm_bullet_lines", "dclm_bullet_lines_ratio", ">", 0.9),
    Rule("dclm_ellipsis_lines", "dclm_ellipsis_lines_ratio", ">", 0.3),
    Rule("dclm_non_alpha_words", "dclm_non_alpha_words_ratio", ">", 0.2),
    Rule("dclm_stop_word_occurrences", "dclm_stop_word_occurrences", "<", 2),
    Rule("dclm_duplicate_lines", "dclm_duplicate_lines_ratio", ">", 0.30),
    Rule("dclm_duplicate_paragraphs", "dclm_duplicate_paragraphs_ratio", ">", 0.30),
    Rule("dclm_duplicate_line_chars", "dclm_duplicate_line_chars_ratio", ">", 0.20),
    Rule("dclm_duplicate_paragraph_chars", "dclm_duplicate_paragraph_chars_ratio", ">", 0.20),
    *(Rule(r.name.replace("gopher", "dclm"), f"dclm_{r.signal}", r.comparison, r.threshold) for r in _NGRAM_RULES),
    Rule("dclm_removed_words", "dclm_removed_words_ratio", ">", 0.05),
)

PROFILES: Final[Mapping[ProfileName, tuple[Rule, ...]]] = MappingProxyType(
    {
        "gopher": _GOPHER_RULES,
        "c4": _C4_RULES,
        "fineweb": (
            *_PARAGRAPH_RULES,
            *_ALL_LINE_RULES,
            *_NGRAM_RULES,
            *_QUALITY_RULES,
            _STOP_WORD_OCCURRENCES_RULE,
            *_C4_RULES,
            Rule("fineweb_terminal_lines", "fineweb_terminal_lines_ratio", "<=", 0.12),
            Rule("fineweb_short_lines", "fineweb_short_lines_ratio", ">=", 0.67),
            Rule("fineweb_duplicate_line_chars", "fineweb_duplicate_line_chars_ratio", ">=", 0.01),
            Rule("fineweb_newlines", "fineweb_newlines_ratio", ">", 0.3),
        ),
        "datatrove": (
            *_GOPHER_RULES,
            *_C4_RULES,
            Rule("datatrove_sentence_lines", "fineweb_sentence_lines_ratio", "<", 0.12),
            Rule("datatrove_short_lines", "fineweb_short_lines_ratio", ">", 0.67),
            Rule("datatrove_duplicate_line_chars", "fineweb_duplicate_line_chars_ratio", ">", 0.01),
            Rule("datatrove_newlines", "fineweb_newlines_ratio", ">", 0.3),
        ),
        "fineweb2": _FINEWEB2_RULES,
        "dclm": _DCLM_RULES,
    }
)
"""The rules of each profile, by its name."""

CLEANINGS_OF: Final[Mapping[ProfileName, Cleaning]] = MappingProxyType(
    {"c4": "c4", "fineweb": "c4", "datatrove": "c4", "dclm": "dclm"}
)
"""Which profiles change the text of a document, and how: by C4's line cleaning, or by DCLM's."""
