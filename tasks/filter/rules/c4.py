"""C4's line cleaning and the signals it gives, with the terminal punctuation rule off, as FineWeb uses it.

Source: Raffel et al., "Exploring the Limits of Transfer Learning" (arXiv 1910.10683), section 2.2; FineWeb (arXiv
2406.17557), section 3.5, for what is left off: lines need not end in punctuation, and no list of bad words.
Notable:
- Lines are tested in a fixed order and dropped by the first test they fail; a curly bracket or "lorem ipsum" counts
  only on a line that passed the tests before, and then the page fails.
- Words on a line are counted by white space and before the citation marks are deleted.
- Blank lines are dropped, so the cleaned text has no paragraphs.
"""

import re
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from tasks.dataset.rules import Threshold
from tasks.filter.text_units import TextUnits, count_sentences
from tasks.filter.words import split_words

MAX_WORD_LENGTH = 1000
"""A line with a longer word, in characters, is dropped."""

MIN_LINE_WORDS = 3
"""A line with fewer words is dropped."""

POLICY_PHRASES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
"""A line with one of these, in any case, is dropped."""

SIGNALS: Final = {
    "c4_lorem_ipsum_lines": pa.int32(),
    "c4_curly_bracket_lines": pa.int32(),
    "c4_sentences": pa.int32(),  # of the kept lines
    "c4_kept_lines_ratio": pa.float64(),
}
"""What `clean_lines` measures, with the type of its column."""

RULES: Final = (
    Threshold("c4_lorem_ipsum", "c4_lorem_ipsum_lines", ">", 0),
    Threshold("c4_curly_bracket", "c4_curly_bracket_lines", ">", 0),
    Threshold("c4_sentences", "c4_sentences", "<", 5),
)

CITATION: Final = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
"""What is deleted from a line."""

_SOUGHT = ("[", "{", "lorem ipsum", "javascript", *POLICY_PHRASES)


@dataclass(frozen=True, slots=True)
class CleanedLines:
    """What C4's line cleaning leaves of a text."""

    text: str
    """The kept lines, citation marks deleted, joined by single newlines and stripped."""
    n_words: int
    """Words of that text, punctuation marks included."""
    signals: dict[str, float]
    """All of `SIGNALS`."""


def clean_lines(units: TextUnits) -> CleanedLines:
    """Drop the lines of `units` that C4 drops, and measure what its page rules read.

    A line for which the page fails is kept here: the page rule decides by the count of such lines.
    """
    # Most texts have none of these phrases: what the whole text lacks need not be looked for in its lines.
    marked = any(phrase in units.lowered for phrase in _SOUGHT)
    kept: list[str] = []
    gone: list[str] = []  # lines of the text that are not in the cleaned one, word by word
    come: list[str] = []  # lines of the cleaned text that are not in the text
    lorem_ipsum = curly_bracket = 0
    for raw_line in units.lines:
        line = raw_line.strip()
        if len(line.split(None, MIN_LINE_WORDS - 1)) < MIN_LINE_WORDS or _has_too_long_word(line):
            gone.append(line)
            continue
        if marked:
            original = line
            if "[" in line:
                line = CITATION.sub("", line)
            lowered = line.lower()
            lorem_ipsum += "lorem ipsum" in lowered
            if "javascript" in lowered:
                gone.append(original)
                continue
            curly_bracket += "{" in line
            if any(phrase in lowered for phrase in POLICY_PHRASES):
                gone.append(original)
                continue
            if line != original:
                gone.append(original)
                come.append(line)
        kept.append(line)
    signals = {
        "c4_lorem_ipsum_lines": lorem_ipsum,
        "c4_curly_bracket_lines": curly_bracket,
        "c4_sentences": count_sentences(kept),
        "c4_kept_lines_ratio": len(kept) / len(units.lines) if units.lines else 0.0,
    }
    # No word crosses a line, so only the lines that changed are split again.
    n_words = len(units.words) - len(split_words("\n".join(gone))) + len(split_words("\n".join(come)))
    return CleanedLines("\n".join(kept).strip(), n_words, signals)


def _has_too_long_word(line: str) -> bool:
    return len(line) > MAX_WORD_LENGTH and max(map(len, line.split())) > MAX_WORD_LENGTH
