"""The units that every rule counts: words, lines and paragraphs of a text, each split once and shared.

Notable: sentences are counted and never materialised: the only rule on them asks how many there are.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tasks.filter.ngrams import NumberedWords
from tasks.filter.words import Words, space_out, split_pieces

_PARAGRAPH_BREAK = re.compile(r"\n{2,}")
_LINE_BREAKS = re.compile(r"\n+")

# What ends no sentence in spite of its full stop: an ellipsis, an initial, one of several letters (e.g.), a title.
_NO_STOP = r"(?<!\.\.)(?<!\.[a-z]\.)(?<!(?<![^\W\d_])[A-Z]\.)" + "".join(
    rf"(?<!(?<![^\W\d_])(?:{abbreviations})\.)"
    for abbreviations in ("Mr|Ms|Dr|St|Jr|Sr|vs|No|Co|Mt", "Mrs|Inc|Ltd|etc", "Prof")
)
# These end a sentence without white space: wide marks, the question mark of Arabic, and the marks of Ethiopic (where
# two word marks do too), Burmese, Khmer, Tibetan and the scripts of India.
_WIDE_MARKS = "。！？．｡።፧፨፡။។៕།༎।॥؟‼⁇⁈⁉"
_MARKS = ".!?։۔܀-܂߹᙮᠃᥄᥅᪨-᪫᭚᭛᭞᭟᰻᰼᱾᱿⸮꓿꛳꛷꡶꡷꣎꣏꤯꧈꧉꩝-꩟꫰꫱꯫" + _WIDE_MARKS.replace("፡", "")
_SENTENCE_END = re.compile(
    rf"""(?:[{_MARKS}] | ፡፡ | (?<=[Ͱ-Ͽἀ-῿]);)
    (?: (?<![{_WIDE_MARKS}]){_NO_STOP} ['"”’)\]»]* (?!\S)
      | (?<=[{_WIDE_MARKS}]) ['"”’)\]»」』]* )
    (?: [^\S\n]* (\n) )?""",
    re.VERBOSE,
)


def ratio(part: float, whole: int) -> float:
    """Return the quotient, 0 of nothing."""
    return part / whole if whole else 0.0


def count_sentences(lines: Sequence[str]) -> int:
    """Return how many sentences some lines hold, at least one each. No line may hold a newline."""
    ends = _SENTENCE_END.findall("\n".join((*lines, "")))
    return len(ends) + len(lines) - ends.count("\n")  # a line without an end at its end has one sentence more


@dataclass(frozen=True)
class TextUnits:
    """A text and its units, each split on first use and kept."""

    text: str

    @cached_property
    def lowered(self) -> str:
        """The text in lower case."""
        return self.text.lower()

    @cached_property
    def pieces(self) -> list[str]:
        """What white space separates."""
        return self.text.split()

    @cached_property
    def _split(self) -> Words:
        spaced = space_out(self.text)
        return split_pieces(self.pieces if spaced is self.text else spaced.split())

    @cached_property
    def words(self) -> list[str]:
        """All words, punctuation marks included (see `split_words`)."""
        return self._split.words

    @cached_property
    def plain_words(self) -> list[str]:
        """All words without punctuation (see `Words.plain`)."""
        return self._split.plain

    @cached_property
    def numbered_words(self) -> NumberedWords:
        """All words with their numbers."""
        return NumberedWords(self.words)

    @cached_property
    def lines(self) -> list[str]:
        """Lines by `str.splitlines`, blank ones included."""
        return self.text.splitlines()

    @cached_property
    def line_blocks(self) -> list[str]:
        """What runs of newlines separate: blank lines are no lines; "" where the text begins or ends with one."""
        return _LINE_BREAKS.split(self.text) if "\n\n" in self.text else self.text.split("\n")

    @cached_property
    def paragraphs(self) -> list[str]:
        """Paragraphs: what blank lines separate in the stripped text."""
        text = self.text.strip()
        return _PARAGRAPH_BREAK.split(text) if "\n\n" in text else [text]
