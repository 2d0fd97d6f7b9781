"""The extracted text and its language against those of the synthetic pages.

Notable: texts are compared as bags of words, as in the usual benchmarks of extraction: precision falls where navigation
and banners are extracted too, recall where text is lost. A page's charset was decoded correctly when all words beyond
ASCII of its paragraphs came out; its title is no sign of the charset, since the extractor may leave it out.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any, NamedTuple

from flows.store.datasets import most_frequent, rows_of_parts, stage_folder
from flows.store.run_record import RunRecord
from tasks.dataset.store import Store
from tasks.synthetic_web.truth import PageTruth

_WORD = re.compile(r"\w+")


class TextScore(NamedTuple):
    """How well the text of some pages was extracted; means over the pages."""

    name: str
    pages: int
    precision: float
    recall: float
    f1: float
    titles: float
    """Share of the pages whose title was extracted too."""


class CharsetScore(NamedTuple):
    """How often pages of one charset were decoded correctly."""

    charset: str
    pages: int
    """Pages that have words beyond ASCII."""
    right: int


class LanguageScore(NamedTuple):
    """How often a language was recognised."""

    language: str
    pages: int
    right: int
    taken_for: tuple[str, ...]
    """What it was mistaken for, most frequent first."""


class ExtractionScore(NamedTuple):
    """All pages that have a text and got past the extraction."""

    overall: TextScore | None
    """None where there is no such page."""
    layouts: tuple[TextScore, ...]
    charsets: tuple[CharsetScore, ...]
    languages: tuple[LanguageScore, ...]


class _Page(NamedTuple):
    truth: PageTruth
    language: str
    measures: tuple[float, float, float, bool]
    """Precision, recall, F1, and whether the title was extracted."""
    accents_right: bool | None
    """Whether all words beyond ASCII came out; None where there are none."""


def score_extraction(store: Store, record: RunRecord, truth: Iterable[PageTruth]) -> ExtractionScore:
    """Compare the extracted documents of a run with the truth, by id."""
    texts = {page.id: page for page in truth if page.main_text}
    rows = rows_of_parts(store, stage_folder(record, "extract"), ["id", "text", "language"])
    pages = [_page(texts[row["id"]], row) for row in rows if row["id"] in texts]
    accented = [page for page in pages if page.accents_right is not None]
    return ExtractionScore(
        overall=_text_score("all", pages) if pages else None,
        layouts=tuple(_text_score(name, group) for name, group in _grouped(pages, "layout")),
        charsets=tuple(
            CharsetScore(charset, len(group), sum(bool(page.accents_right) for page in group))
            for charset, group in _grouped(accented, "charset")
        ),
        languages=tuple(_language_score(language, group) for language, group in _grouped(pages, "language")),
    )


def word_overlap(found: str, wanted: str) -> tuple[float, float, float]:
    """Return precision, recall and F1 of the words of `found` against those of `wanted`, as bags."""
    bags = Counter(_words(found)), Counter(_words(wanted))
    common = (bags[0] & bags[1]).total()
    precision = common / bags[0].total() if bags[0] else 0.0
    recall = common / bags[1].total() if bags[1] else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if common else 0.0


def _page(truth: PageTruth, row: Mapping[str, Any]) -> _Page:
    text, (title, _, paragraphs) = row["text"], truth.main_text.partition("\n")
    measures = *word_overlap(text, truth.main_text), title.casefold() in text.casefold()
    accented = {word for word in _words(paragraphs) if not word.isascii()}
    return _Page(truth, row["language"], measures, accented <= set(_words(text)) if accented else None)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _grouped(pages: Iterable[_Page], field: str) -> list[tuple[str, list[_Page]]]:
    groups: defaultdict[str, list[_Page]] = defaultdict(list)
    for page in pages:
        groups[str(getattr(page.truth, field))].append(page)
    return sorted(groups.items())


def _text_score(name: str, pages: list[_Page]) -> TextScore:
    return TextScore(name, len(pages), *map(fmean, zip(*(page.measures for page in pages), strict=True)))


def _language_score(language: str, pages: list[_Page]) -> LanguageScore:
    others = Counter(page.language for page in pages if page.language != language)
    taken_for = tuple(name for name, _ in most_frequent(others))
    return LanguageScore(language, len(pages), len(pages) - others.total(), taken_for)
