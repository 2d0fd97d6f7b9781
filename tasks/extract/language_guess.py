"""A guess, before the costly extraction, of how much of a page is in a wanted language.

Notable:
- The guess reads long runs of text between tags only, since menus and buttons are more often in another language than
  the text; leaving out braces leaves out most scripts. What the extractor would take is not known yet, so the guess may
  only say "surely not": see `is_surely_unwanted`.
- The margin was measured on 2,247 real pages, with every language as the wanted one in turn. With less than a
  fifth of the sample in English, no page was lost of 1,216 whose extracted text is English, and 79% of the other pages
  are spared the extractor; at 30% 3 were lost for 85%, at 40% 4 for 90%. Of 914 pages in other languages 3 were lost.
  The filters keep none of the lost pages (they keep 665 English, 463 other). The language that a page declares did not
  help: heeding it spared fewer pages and lost as many.
- 0.3 ms a page, where the extractor takes 12.
"""

import html
import re
from collections.abc import Collection
from dataclasses import dataclass

from tasks.extract.language import UNKNOWN, language_shares

MAX_WANTED_SHARE = 0.2
"""Share of the sample in wanted languages, or in none that is known, from which on a page may be wanted."""
MIN_LETTER_BYTES = 200
"""Bytes of letters in UTF-8 that a guess must stand on; a page with fewer may be wanted."""

_RUNS = re.compile(r">([^<>{}]{40,}+)<")
_INLINE_TAGS = re.compile(
    r"</?(?:a(?:bbr|cronym)?|b(?:di|do|ig|r)?|cite|code|dfn|em|font|i(?:ns)?|kbd|mark|nobr|q"
    r"|s(?:amp|mall|pan|trike|trong|u[bp])?|t(?:ime|t)|u|var|wbr)(?=[\s/>])[^<>]*+>",
    re.IGNORECASE | re.ASCII,
)
_SLICES = 8
_SLICE_CHARS = 1000


@dataclass(frozen=True, slots=True)
class LanguageGuess:
    """The languages that a page's text runs seem to be in."""

    language: str
    """ISO 639-1 code of the language of most of the sample, "un" if unknown."""
    wanted_share: float
    """Share of the sample, from 0 to 1, that is in a wanted language."""
    unknown_share: float
    """Share that is in no known language."""
    letter_bytes: int
    """Bytes of letters in the sample."""

    @property
    def is_surely_unwanted(self) -> bool:
        """Whether the page's text is surely in no wanted language."""
        return (
            self.letter_bytes >= MIN_LETTER_BYTES and self.wanted_share < MAX_WANTED_SHARE and self.unknown_share < 0.5
        )


def guess_language(source: str, wanted: Collection[str]) -> LanguageGuess:
    """Guess from a page's HTML; `wanted` are ISO 639-1 codes. Never raises; time grows with the length of `source`.

    Links and line breaks cut a text's runs short, so a page that seems unwanted is looked at again without them.
    """
    guess = _guess(source, wanted)
    return _guess(_INLINE_TAGS.sub(" ", source), wanted) if guess.is_surely_unwanted else guess


def _guess(source: str, wanted: Collection[str]) -> LanguageGuess:
    shares, letter_bytes = language_shares(_sample(source))
    return LanguageGuess(
        language=max(shares, key=lambda code: shares[code], default=UNKNOWN),
        wanted_share=sum(shares.get(code, 0.0) for code in set(wanted)),
        unknown_share=shares.get(UNKNOWN, 0.0) if shares else 1.0,
        letter_bytes=letter_bytes,
    )


def _sample(source: str) -> str:
    """Return at most 8,000 characters of a page's text runs, in slices from all over it."""
    text = " ".join(_RUNS.findall(source))
    if len(text) > _SLICES * _SLICE_CHARS:
        step = len(text) // _SLICES
        text = " ".join(text[place * step : place * step + _SLICE_CHARS] for place in range(_SLICES))
    return html.unescape(text) if "&" in text else text
