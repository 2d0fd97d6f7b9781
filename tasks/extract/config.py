"""What a recipe says about extraction: which pages are read, and how their text is found."""

from typing import Final, Literal, get_args

from pydantic import Field

from tasks.base.config import Config
from tasks.base.language_codes import LanguageCode
from tasks.extract.content.kinds import PageKind
from tasks.extract.page_metadata import RobotsDirective
from tasks.extract.url_rules import UrlRulesConfig
from tasks.own_code.named_code import OwnCode

Extractor = Literal["auto", "precision", "balanced", "resiliparse"]
EXTRACTORS: Final[tuple[str, ...]] = get_args(Extractor)


class ExtractionConfig(Config):
    """Which pages are read, and how the text is extracted from their HTML."""

    urls: UrlRulesConfig = UrlRulesConfig()
    """Addresses that are refused."""
    drop_seen: bool = True
    """Drop a page that is, byte for byte, an earlier one of the same WARC file that was not refused itself."""
    guess_languages: tuple[LanguageCode, ...] | None = None
    """Drop pages that are surely in none of these languages (ISO 639-1) before the text is extracted. Not given: those
    of `filter.languages`; none: no guess."""
    drop_robots: tuple[RobotsDirective, ...] = ()
    """Drop pages that ask for one of these by an HTTP header or a meta tag, such as noai or tdm-reservation."""
    extractor: Extractor | OwnCode = "precision"
    """What finds the main text. Trafilatura: `precision` prefers less text that is surely the main text, as FineWeb
    does, `balanced` weighs both alike. `resiliparse`, as in DCLM. `auto`: a learned choice of runs of text, as
    good on articles, better on all other kinds, and faster."""
    format: Literal["text", "markdown"] = "text"
    """How the text is written: as plain lines, or as Markdown with headings, lists, quotations, code and tables. Both
    keep the lines of code and the rows of tables, and write formulas as TeX."""
    tables: bool = True
    """Keep the text of tables. For `precision` and `balanced`."""
    fast: bool = False
    """Skip the comparison with a second extractor: a third faster, word-4-gram F1 0.84 instead of 0.90 for `precision`,
    0.87 for `balanced`."""
    blank_lines: bool = False
    """Separate paragraphs, headings, lists and tables by blank lines, so that rules on paragraphs see them; False: by
    line ends only, as FineWeb does. Not for resiliparse, which always does."""
    min_score: float = Field(default=0.0, ge=0, le=1)
    """A text of which `auto` expects a lower F1 against the page's main text is dropped as `extraction_score`."""
    drop_kinds: tuple[PageKind, ...] = ()
    """Drop pages of these kinds, as far as `auto` tells them, as `page_kind`."""
    min_text_chars: int = Field(default=1, ge=1)
    """A page with a shorter text, in characters, is dropped as `no_text`."""
    max_html_chars: int = Field(default=10_000_000, gt=0)
    """A page with longer HTML, in characters, is dropped as `too_large`."""
    max_elements: int = Field(default=50_000, gt=0)
    """A page with more HTML elements is dropped as `too_large`. Extraction takes up to 40 microseconds for each, and up
    to 10 seconds for 50,000 paragraphs: one of its searches takes the square of their number."""
    max_attribute_chars: int = Field(default=100_000, gt=0)
    """Attributes longer than so many characters are ignored."""
    max_page_seconds: float = Field(default=20.0, gt=0)
    """A page that takes the extractor more processor time, in seconds, is dropped as `extractor_timeout`."""
    drop_truncated: bool = True
    """Drop pages of which the archive holds only the beginning."""
    drop_bad_digests: bool = True
    """Drop pages whose payload digest does not agree with their bytes."""
