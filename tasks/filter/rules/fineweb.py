"""Signals of FineWeb's own rules, measured on the text that C4's line cleaning leaves, and FineWeb2's on all of it.

Source: FineWeb (arXiv 2406.17557), section 3.6 and appendix E.4, table 2. The threshold of repeated lines is the
table's 0.01; the section's 0.1 is a slip, as the released code shows. FineWeb2 (arXiv 2506.20920) and its code.
Notable:
- Two readings of "a line that ends in punctuation" are measured. FineWeb, when it was made, counted every line and
  took quotation marks for terminal; datatrove today leaves blank lines out and takes Unicode's sentence terminals,
  without quotes.
- The newline rule is in the released code only, not in the paper.
"""

from typing import Final

import pyarrow as pa

from tasks.dataset.rules import Threshold
from tasks.filter.rules.c4 import CleanedLines
from tasks.filter.rules.gopher_repetition import count_repeated
from tasks.filter.text_units import TextUnits, ratio

SHORT_LINE_LENGTH = 30
"""A line of at most so many characters is short."""

TERMINAL_MARKS = (".", "'", '"', "!", "?")
"""What ends a line in FineWeb's reading."""

# Unicode's sentence terminals of all scripts and Khmer's marks, as code points: 159 of them, no quotation marks.
_TERMINAL_CODE_POINTS = (
    "21 2e 3f 589 61d-61f 6d4 700-702 7f9 837 839 83d-83e 964-965 104a-104b 1362 1367-1368 166e 1735-1736 "
    "17d4-17d6 17d9-17da 1803 1809 1944-1945 1aa8-1aab 1b5a-1b5b 1b5e-1b5f 1b7d-1b7e 1c3b-1c3c 1c7e-1c7f "
    "203c-203d 2047-2049 2e2e 2e3c 2e53-2e54 3002 a4ff a60e-a60f a6f3 a6f7 a876-a877 a8ce-a8cf a92f a9c8-a9c9 "
    "aa5d-aa5f aaf0-aaf1 abeb fe52 fe56-fe57 ff01 ff0e ff1f ff61 10a56-10a57 10f55-10f59 10f86-10f89 11047-11048 "
    "110be-110c1 11141-11143 111c5-111c6 111cd 111de-111df 11238-11239 1123b-1123c 112a9 1144b-1144c 115c2-115c3 "
    "115c9-115d7 11641-11642 1173c-1173e 11944 11946 11a42-11a43 11a9b-11a9c 11c41-11c42 11ef7-11ef8 11f43-11f44 "
    "16a6e-16a6f 16af5 16b37-16b38 16b44 16e98 1bc9f 1da88 "
)


SENTENCE_TERMINALS = frozenset(
    chr(point)
    for span in _TERMINAL_CODE_POINTS.split()
    for point in range(int(span.split("-")[0], 16), int(span.split("-")[-1], 16) + 1)
)
"""What ends a line in datatrove's reading."""

SIGNALS: Final = {
    "fineweb_terminal_lines_ratio": pa.float64(),  # share of lines that end in one of `TERMINAL_MARKS`
    "fineweb_sentence_lines_ratio": pa.float64(),  # of lines but blank ones, that end in a `SENTENCE_TERMINALS`
    "fineweb_short_lines_ratio": pa.float64(),  # share of lines of at most `SHORT_LINE_LENGTH` characters
    "fineweb_duplicate_line_chars_ratio": pa.float64(),  # of repeated lines, in the text without its newlines
    "fineweb_newlines_ratio": pa.float64(),  # for each word, punctuation marks counted as words
}
"""What `measure_fineweb` gives, with the type of its column; zeros where the cleaning left nothing."""

FINEWEB2_SIGNALS: Final = {
    "fineweb2_sentence_lines_ratio": pa.float64(),
    "fineweb2_duplicate_line_chars_ratio": pa.float64(),
    "fineweb2_newlines_ratio": pa.float64(),
}
"""What `measure_fineweb2` gives: as above, but of the text as it is."""

RULES: Final = (
    Threshold("fineweb_terminal_lines", "fineweb_terminal_lines_ratio", "<=", 0.12),
    Threshold("fineweb_short_lines", "fineweb_short_lines_ratio", ">=", 0.67),
    Threshold("fineweb_duplicate_line_chars", "fineweb_duplicate_line_chars_ratio", ">=", 0.01),
    Threshold("fineweb_newlines", "fineweb_newlines_ratio", ">", 0.3),
)
DATATROVE_RULES: Final = (
    Threshold("datatrove_sentence_lines", "fineweb_sentence_lines_ratio", "<", 0.12),
    Threshold("datatrove_short_lines", "fineweb_short_lines_ratio", ">", 0.67),
    Threshold("datatrove_duplicate_line_chars", "fineweb_duplicate_line_chars_ratio", ">", 0.01),
    Threshold("datatrove_newlines", "fineweb_newlines_ratio", ">", 0.3),
)
FINEWEB2_RULES: Final = (
    Threshold("fineweb2_sentence_lines", "fineweb2_sentence_lines_ratio", "<", 0.12),
    Threshold("fineweb2_duplicate_line_chars", "fineweb2_duplicate_line_chars_ratio", ">", 0.1),
    Threshold("fineweb2_newlines", "fineweb2_newlines_ratio", ">", 0.3),
)


def measure_fineweb(cleaned: CleanedLines) -> dict[str, float]:
    """Measure `SIGNALS` of a text after C4's line cleaning."""
    lines = cleaned.text.split("\n")
    sentence_lines, duplicate_line_chars, newlines = _line_ratios(cleaned.text, lines, cleaned.n_words)
    return {
        "fineweb_terminal_lines_ratio": sum(line.endswith(TERMINAL_MARKS) for line in lines) / len(lines),
        "fineweb_sentence_lines_ratio": sentence_lines,
        "fineweb_short_lines_ratio": sum(len(line) <= SHORT_LINE_LENGTH for line in lines) / len(lines),
        "fineweb_duplicate_line_chars_ratio": duplicate_line_chars,
        "fineweb_newlines_ratio": newlines,
    }


def measure_fineweb2(units: TextUnits) -> dict[str, float]:
    """Measure `FINEWEB2_SIGNALS` of a text as it is: C4's cleaning has no part in FineWeb2."""
    ratios = _line_ratios(units.text, units.text.split("\n"), len(units.words))
    return dict(zip(FINEWEB2_SIGNALS, ratios, strict=True))


def _line_ratios(text: str, lines: list[str], n_words: int) -> tuple[float, float, float]:
    """Lines that end a sentence, characters of repeated lines, and newlines for each word."""
    filled = [line for line in lines if line and not line.isspace()]
    n_newlines = len(lines) - 1
    return (
        ratio(sum(line[-1] in SENTENCE_TERMINALS for line in filled), len(filled)),
        ratio(count_repeated(filled)[1], len(text) - n_newlines),
        ratio(n_newlines, n_words),
    )
