"""The synthetic pages meet the pipeline's real parts: extraction, filters and near-duplicate detection."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import BinaryIO, cast

import pytest
import trafilatura
from datasketch import MinHash, MinHashLSH

from tasks.extract.charset import decode
from tasks.filter.config import FilterConfig
from tasks.synthetic_web.generation import generate_synthetic_web
from tasks.synthetic_web.texts.articles import jaccard, nearly, shingles, write_articles
from tasks.synthetic_web.texts.config import SyntheticWebConfig
from tasks.synthetic_web.texts.country import invent_country
from tasks.synthetic_web.texts.draws import Draws
from tasks.synthetic_web.truth import PageTruth, read_truth
from tasks.synthetic_web.web.layouts import LAYOUTS
from tasks.synthetic_web.web.responses import CHARSETS, ODD_WESTERN
from tasks.warc.reader import Page, ReadLimits, read_pages
from tests.tasks.filter.one_document import filter_text

CONFIG = SyntheticWebConfig(
    towns=20, pages_per_town=24, mirrors=30, near_duplicates=30, foreign_pages=64, poor_pages=120, broken_responses=90
)


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[PageTruth, str]]:
    """Each readable HTML page's truth with the text that trafilatura finds, "" for none."""
    folder = tmp_path_factory.mktemp("synthetic_web") / "web"
    summary = generate_synthetic_web(folder, CONFIG)
    truth = {page.id: page for page in read_truth(folder)}
    found = []
    for path in summary.warcs:
        with (folder / path).open("rb") as stream:
            for page in read_pages(cast(BinaryIO, stream), ReadLimits()):
                assert isinstance(page, Page)
                if page.http_status == 200 and page.identified_type == "text/html" and page.payload:
                    known = truth[f"{Path(path).name.removesuffix('.warc.gz')}:{page.offset}"]
                    html = decode(page.payload, page.content_type).text
                    text = trafilatura.extract(html, favor_precision=True, include_comments=False, deduplicate=False)
                    found.append((known, text or ""))
                else:
                    known = truth[f"{Path(path).name.removesuffix('.warc.gz')}:{page.offset}"]
                    assert known.expected == "extract", known
    return found


def word_f1(wanted: str, got: str) -> float:
    """Harmonic mean of precision and recall over words, 0 to 1."""
    one, other = Counter(wanted.split()), Counter(got.split())
    return 2 * sum((one & other).values()) / max(1, sum(one.values()) + sum(other.values()))


def test_the_main_text_can_be_extracted_from_each_layout(extracted: list[tuple[PageTruth, str]]) -> None:
    scores = defaultdict(list)
    for page, text in extracted:
        if page.kind == "article" and page.charset not in ODD_WESTERN:
            scores[page.layout].append(word_f1(page.main_text, text))
    assert set(scores) == set(LAYOUTS)
    for layout, values in scores.items():
        assert sum(values) / len(values) > 0.95, layout
        assert min(values) > 0.9, layout


def test_odd_charsets_are_read_but_for_single_letters(extracted: list[tuple[PageTruth, str]]) -> None:
    seen = set()
    for page, text in extracted:
        if page.kind == "article" and page.charset in ODD_WESTERN:
            seen.add(page.charset)
            assert word_f1(page.main_text, text) > 0.9, page.charset
            assert not page.main_text.isascii()
    assert seen == set(ODD_WESTERN) <= set(CHARSETS)


def test_articles_pass_every_filter_and_all_else_is_caught(extracted: list[tuple[PageTruth, str]]) -> None:
    config = FilterConfig()
    for page, text in extracted:
        decision = filter_text(text, page.language or "un", 1.0, config)
        if page.expected in ("keep", "duplicates"):
            assert decision.kept, (page.kind, decision.reasons, text)
        else:
            assert not decision.kept, (page.kind, text)


@pytest.mark.parametrize(
    ("kind", "rules"),
    [
        ("keyword_spam", {"gopher_top_2_gram"}),
        ("repeated_lines", {"gopher_duplicate_all_lines"}),
        ("hashtags", {"gopher_hashes"}),
        ("ellipsis", {"gopher_ellipsis_lines"}),
        ("bullets", {"gopher_bullet_lines"}),
        ("stub", {"gopher_min_words"}),
        ("few_sentences", {"c4_sentences"}),
        ("filler_text", {"c4_lorem_ipsum"}),
        ("code", {"c4_curly_bracket"}),
        ("numbers", {"gopher_alpha_words"}),
        ("notices", {"c4_sentences"}),
        ("foreign", {"language"}),
    ],
)
def test_each_kind_fails_its_own_rule(extracted: list[tuple[PageTruth, str]], kind: str, rules: set[str]) -> None:
    config = FilterConfig()
    pages = [(page, text) for page, text in extracted if page.kind == kind]
    assert pages
    for page, text in pages:
        assert rules <= set(filter_text(text, page.language or "un", 1.0, config).reasons), text


def test_copies_meet_in_minhash_and_articles_do_not(extracted: list[tuple[PageTruth, str]]) -> None:
    lsh = MinHashLSH(num_perm=112, params=(14, 8))
    pages = [(page, text) for page, text in extracted if page.expected in ("keep", "duplicates")]
    hashes = {}
    for page, text in pages:
        hashes[page.id] = MinHash(num_perm=112, seed=1)
        hashes[page.id].update_batch([shingle.encode() for shingle in shingles(text)])
        lsh.insert(page.id, hashes[page.id])
    clusters = {page.id: page.duplicate_cluster for page, _ in pages}
    missed = 0
    for page, _ in pages:
        met = [other for other in lsh.query(hashes[page.id]) if other != page.id]
        assert all(clusters[other] is not None and clusters[other] == page.duplicate_cluster for other in met)
        missed += page.duplicate_cluster is not None and not met
    assert missed <= 3


def test_articles_about_one_town_share_at_most_a_third() -> None:
    town = invent_country(CONFIG).towns[0]
    found = [shingles(text.main_text) for text in write_articles(town, 60, Draws(3, "test"))]
    assert max(jaccard(a, b) for i, a in enumerate(found) for b in found[:i]) <= 1 / 3


def test_near_duplicates_share_at_least_85_of_100() -> None:
    draws = Draws(4, "test")
    for text in write_articles(invent_country(CONFIG).towns[1], 40, draws):
        changed = nearly(text, draws)
        assert changed.main_text != text.main_text
        assert jaccard(shingles(text.main_text), shingles(changed.main_text)) >= 0.85
        assert all(fact.value in changed.main_text for fact in changed.facts)


def test_articles_are_short_and_say_most_facts() -> None:
    town = invent_country(CONFIG).towns[2]
    for text in write_articles(town, 40, Draws(5, "test")):
        words = len(" ".join(text.paragraphs).split())
        assert 50 <= words <= 85
        assert len(text.facts) >= 5
        for fact in text.facts:
            assert town.name in text.main_text
            assert fact.value in text.main_text
