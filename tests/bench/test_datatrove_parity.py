"""Our `datatrove` profile beside datatrove itself: the same texts, filter by filter and rule by rule.

Notable: what may differ is known. Our words and sentences are not spaCy's, and a ratio near its threshold feels it; a
text on which the two split alike must get the same verdict. Every difference is printed with its class.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.charset import decode
from tasks.extraction import ExtractionConfig, extract_text
from tasks.filters.filtering import FilterConfig, filter_document
from tasks.filters.profiles import PROFILES
from tasks.filters.words import split_words
from tasks.language import identify
from tasks.warc_reading import Page, ReadLimits, read_pages
from tests.bench.datatrove_environment import run_in_datatrove
from tests.conftest import COMMON_CRAWL

CONFIG = FilterConfig(profiles=("datatrove",), languages=(), min_language_score=0)
SCRIPT = Path(__file__).with_name("datatrove_filters.py")
VECTORS = Path(__file__).parents[1] / "golden" / "filter_vectors.json"
MAX_CHARACTERS = 200_000
"""Longer texts are left out: spaCy takes seconds for each."""

REASONS = {
    "gopher_duplicate_paragraphs": "dup_para_frac",
    "gopher_duplicate_paragraph_chars": "dup_para_char_frac",
    "gopher_duplicate_lines": "dup_line_frac",
    "gopher_duplicate_line_chars": "dup_line_char_frac",
    **{f"gopher_top_{n}_gram": f"top_{n}_gram" for n in (2, 3, 4)},
    **{f"gopher_duplicate_{n}_gram": f"duplicated_{n}_n_grams" for n in range(5, 11)},
    "gopher_min_words": "gopher_short_doc",
    "gopher_max_words": "gopher_long_doc",
    "gopher_min_mean_word_length": "gopher_below_avg_threshold",
    "gopher_max_mean_word_length": "gopher_above_avg_threshold",
    "gopher_hashes": "gopher_too_many_hashes",
    "gopher_ellipses": "gopher_too_many_ellipsis",
    "gopher_bullet_lines": "gopher_too_many_bullets",
    "gopher_ellipsis_lines": "gopher_too_many_end_ellipsis",
    "gopher_alpha_words": "gopher_below_alpha_threshold",
    "gopher_stop_words": "gopher_enough_stop_words",
    "c4_lorem_ipsum": "lorem_ipsum",
    "c4_curly_bracket": "curly_bracket",
    "c4_sentences": "too_few_sentences",
    "datatrove_sentence_lines": "line_punct_ratio",
    "datatrove_short_lines": "short_line_ratio",
    "datatrove_duplicate_line_chars": "char_dup_ratio",
    "datatrove_newlines": "list_ratio",
}
"""What datatrove calls our rules, in the order in which each of its filters asks them."""

FILTERS = {
    "repetition": [name for name in REASONS if name.startswith("gopher") and ("duplicate" in name or "gram" in name)],
    "quality": [name for name in REASONS if name.startswith("gopher") and not ("duplicate" in name or "gram" in name)],
    "c4": [name for name in REASONS if name.startswith("c4")],
    "fineweb": [name for name in REASONS if name.startswith("datatrove")],
}
"""The rules of each filter of datatrove's."""


@dataclass(frozen=True)
class Difference:
    """One filter that says another thing of one text."""

    text: str
    filter: str
    ours: str | None
    theirs: str | None
    kind: str


def golden_texts() -> Iterator[str]:
    """Those that stand on both sides of every threshold."""
    for vector in json.loads(VECTORS.read_text(encoding="utf-8")):
        yield "".join(string * count for string, count in vector["text"])


def real_texts() -> Iterator[str]:
    """The English pages of the crawl, where it is here."""
    for warc in sorted((COMMON_CRAWL / "crawl-data").rglob("*.warc.gz")):
        with warc.open("rb") as stream:
            for page in read_pages(stream, ReadLimits()):
                if isinstance(page, Page):
                    html = decode(page.payload, page.content_type).text
                    text = extract_text(html, page.url, ExtractionConfig())
                    if text and identify(text)[0] == "en":
                        yield text


def first_ours(reasons: list[str], step: str) -> str | None:
    """The first of our reasons that a filter of datatrove's would give, by its name there."""
    return next((REASONS[name] for name in FILTERS[step] if name in reasons), None)


def compare(text: str, theirs: dict[str, Any]) -> list[Difference]:
    """Where we and datatrove differ on one text."""
    filtered = filter_document(text, "en", 1.0, CONFIG)
    found = []
    for step in FILTERS:
        if step not in theirs:
            continue
        ours = first_ours(filtered.reasons, step)
        # Of C4's page rules datatrove names the one whose line comes first, we all that fail.
        same = theirs[step] in {REASONS[name] for name in filtered.reasons} if step == "c4" and ours else False
        if ours != theirs[step] and not same:
            found.append(Difference(text, step, ours, theirs[step], kind_of(text, step, ours, theirs)))
    if theirs["c4"] is None and "c4_sentences" not in filtered.reasons and filtered.text != theirs["cleaned"]:
        found.append(Difference(text, "cleaned text", "", "", "unexplained"))
    return found


def kind_of(text: str, step: str, ours: str | None, theirs: dict[str, Any]) -> str:
    """Why a verdict differs, as far as it can be told."""
    if step == "c4" and "too_few_sentences" in (ours, theirs["c4"]):
        return "sentences"
    if len(split_words(text)) != theirs["n_words"]:
        return "number of words"
    return "words" if step in ("repetition", "quality") else "unexplained"


def test_every_rule_of_the_profile_has_its_name_in_datatrove() -> None:
    assert list(REASONS) == [name for names in FILTERS.values() for name in names]
    assert list(REASONS) == [rule.name for rule in PROFILES["datatrove"]]


@pytest.mark.slow
def test_the_datatrove_profile_decides_as_datatrove_does(capsys: pytest.CaptureFixture[str]) -> None:
    texts = [text for source in (golden_texts(), real_texts()) for text in source if len(text) <= MAX_CHARACTERS]
    theirs = list(run_in_datatrove(SCRIPT, ({"text": text} for text in texts)))
    verdicts = Counter(
        (
            filter_document(text, "en", 1.0, CONFIG).kept,
            all(verdict[step] is None for step in FILTERS if step in verdict),
        )
        for text, verdict in zip(texts, theirs, strict=True)
    )
    differences = [each for text, verdict in zip(texts, theirs, strict=True) for each in compare(text, verdict)]
    with capsys.disabled():
        show(texts, verdicts, differences)
    assert verdicts[True, True] and verdicts[False, False]
    assert verdicts[True, True] + verdicts[False, False] >= 0.99 * len(texts)
    assert len({difference.text for difference in differences}) <= 0.02 * len(texts)
    assert not [difference for difference in differences if difference.kind == "unexplained"]


def show(texts: list[str], verdicts: Counter[tuple[bool, bool]], differences: list[Difference]) -> None:
    """Print how many agree, and every difference by its class."""
    agree = verdicts[True, True] + verdicts[False, False]
    print(
        f"\n{len(texts)} texts; verdicts equal on {agree}, {agree / len(texts):.2%}; by (ours, datatrove's): ", end=""
    )
    print(", ".join(f"{'/'.join('kept' if kept else 'dropped' for kept in both)} {n}" for both, n in verdicts.items()))
    same = len(texts) - len({difference.text for difference in differences})
    print(f"every filter's first reason equal on {same}, {same / len(texts):.2%}; else:")
    for (kind, step, ours, theirs), count in Counter((d.kind, d.filter, d.ours, d.theirs) for d in differences).items():
        print(f"  {count:3} {kind}: {step}: ours {ours}, datatrove's {theirs}")
