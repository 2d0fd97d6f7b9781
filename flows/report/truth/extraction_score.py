"""The extracted text and its language against those of the synthetic pages.

Notable: texts are compared as bags of words, as in the usual benchmarks of extraction: precision falls where navigation
and banners are extracted too, recall where text is lost. A page's charset was decoded correctly when all words beyond
ASCII of its paragraphs came out; its title is no sign of the charset, since the extractor may leave it out.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flows.store.run_record import RunRecord
from tasks.dataset.manifest import part_path, read_manifest
from tasks.dataset.parts import read_part
from tasks.dataset.store import Store
from tasks.synthetic_web.truth import PageTruth

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class TextScore:
    """How well the text of some pages was extracted; means over the pages."""

    name: str
    pages: int
    precision: float
    recall: float
    f1: float
    titles: float
    """Share of the pages whose title was extracted too."""


@dataclass(frozen=True)
class CharsetScore:
    """How often pages of one charset were decoded correctly."""

    charset: str
    pages: int
    """Pages that have words beyond ASCII."""
    right: int


@dataclass(frozen=True)
class LanguageScore:
    """How often a language was recognised."""

    language: str
    pages: int
    right: int
    taken_for: tuple[str, ...]
    """What it was mistaken for, most frequent first."""


@dataclass(frozen=True)
class ExtractionScore:
    """All pages that have a text and got past the extraction."""

    overall: TextScore | None
    """None where there is no such page."""
    layouts: tuple[TextScore, ...]
    charsets: tuple[CharsetScore, ...]
    languages: tuple[LanguageScore, ...]


@dataclass(frozen=True)
class _Page:
    truth: PageTruth
    precision: float
    recall: float
    f1: float
    has_title: bool
    has_accents: bool
    accents_right: bool
    language: str


def score_extraction(store: Store, record: RunRecord, truth: Iterable[PageTruth]) -> ExtractionScore:
    """Compare the extracted documents of a run with the truth, by id."""
    texts = {page.id: page for page in truth if page.main_text}
    pages = [_page(texts[row["id"]], row) for row in _documents(store, record) if row["id"] in texts]
    return ExtractionScore(
        overall=_text_score("all", pages) if pages else None,
        layouts=tuple(_text_score(name, group) for name, group in _grouped(pages, "layout")),
        charsets=tuple(_charset_scores(pages)),
        languages=tuple(_language_scores(pages)),
    )


def word_overlap(found: str, wanted: str) -> tuple[float, float, float]:
    """Return precision, recall and F1 of the words of `found` against those of `wanted`, as bags."""
    bags = Counter(_words(found)), Counter(_words(wanted))
    common = (bags[0] & bags[1]).total()
    precision = common / bags[0].total() if bags[0] else 0.0
    recall = common / bags[1].total() if bags[1] else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if common else 0.0


def _documents(store: Store, record: RunRecord) -> Iterator[Mapping[str, Any]]:
    fingerprint = record.stages["extract"].plan.fingerprint
    manifest = read_manifest(store, "extract", fingerprint)
    for index in range(len(manifest.parts) if manifest else 0):
        for table in read_part(store, part_path("extract", fingerprint, index), ["id", "text", "language"]):
            yield from table.to_pylist()


def _page(truth: PageTruth, row: Mapping[str, Any]) -> _Page:
    title, _, paragraphs = truth.main_text.partition("\n")
    accented = {word for word in _words(paragraphs) if not word.isascii()}
    return _Page(
        truth,
        *word_overlap(row["text"], truth.main_text),
        has_title=title.casefold() in str(row["text"]).casefold(),
        has_accents=bool(accented),
        accents_right=accented <= set(_words(row["text"])),
        language=str(row["language"]),
    )


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _grouped(pages: Iterable[_Page], field: str) -> list[tuple[str, list[_Page]]]:
    groups: defaultdict[str, list[_Page]] = defaultdict(list)
    for page in pages:
        groups[str(getattr(page.truth, field))].append(page)
    return sorted(groups.items())


def _text_score(name: str, pages: list[_Page]) -> TextScore:
    n = len(pages)
    means = (sum(getattr(page, field) for page in pages) / n for field in ("precision", "recall", "f1", "has_title"))
    return TextScore(name, n, *means)


def _charset_scores(pages: list[_Page]) -> Iterator[CharsetScore]:
    for charset, group in _grouped([page for page in pages if page.has_accents], "charset"):
        yield CharsetScore(charset, len(group), sum(page.accents_right for page in group))


def _language_scores(pages: list[_Page]) -> Iterator[LanguageScore]:
    for language, group in _grouped(pages, "language"):
        others = Counter(page.language for page in group if page.language != language)
        taken_for = tuple(name for name, _ in sorted(others.items(), key=lambda item: (-item[1], item[0])))
        yield LanguageScore(language, len(group), len(group) - others.total(), taken_for)
