"""The guess before the extraction: what it reads, and that it only ever says "surely not"."""

import json
from collections import Counter
from gzip import open as open_gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.extract.charset import decode
from tasks.extract.config import ExtractionConfig
from tasks.extract.language import UNKNOWN, identify, language_shares
from tasks.extract.language_guess import LanguageGuess, guess_language
from tasks.warc.reader import Page, ReadLimits, read_pages
from tests.page_texts import text_of
from tests.tasks.extract.test_language import SENTENCES

SAMPLE = 15
"""Every so manieth of the real pages is extracted."""


def page(*languages: str, times: int = 6) -> str:
    paragraphs = "".join(f"<p>{SENTENCES[language] * 2}</p>" for language in languages for _ in range(times))
    return f"<html><body>{paragraphs}</body></html>"


@pytest.mark.parametrize("language", ["en", "de", "fr", "ru", "zh", "ja", "el"])
def test_a_page_in_another_language_is_surely_unwanted_and_one_in_this_is_not(language: str) -> None:
    other = "de" if language == "en" else "en"
    guess = guess_language(page(language, times=20), [other])
    assert (guess.language, guess.is_surely_unwanted) == (language, True)
    assert not guess_language(page(language, times=20), [other, language]).is_surely_unwanted


@pytest.mark.parametrize(
    "source",
    [
        page("de", "en"),
        f"<p>{SENTENCES['de']}</p>",
        "<p>" + "8071 2260 1121 " * 100 + "</p>",
        "<html></html>",
        "",
        "<p>Kein Ende" * 100,
    ],
    ids=["half of it", "short", "numbers", "empty", "nothing", "no text run"],
)
def test_where_it_is_not_sure_the_page_goes_on(source: str) -> None:
    assert not guess_language(source, ["en"]).is_surely_unwanted


@pytest.mark.parametrize("between", ['<a href="/x">{}</a> ', "{}<br>", "<b>{}</b> "])
def test_a_foreign_banner_does_not_speak_for_a_text_that_links_cut_short(between: str) -> None:
    words = SENTENCES["en"].split()
    text = "".join(between.format(" ".join(words[i : i + 4])) for i in range(0, len(words), 4))
    source = f"<div><p>{SENTENCES['de'] * 3}</p></div>" + f"<p>{text}</p>" * 6
    assert not guess_language(source, ["en"]).is_surely_unwanted
    assert guess_language(source, ["fr"]).is_surely_unwanted


def test_scripts_styles_and_menus_do_not_count() -> None:
    english = "".join(f"<li>{word} us today</li>" for word in ("About", "Contact", "Follow") * 200)
    script = "<script>function go() { return 'The ferry leaves the harbour at noon and comes back'; }</script>" * 200
    guess = guess_language(f"{script}<ul>{english}</ul>{page('de')}", ["en"])
    assert (guess.language, guess.is_surely_unwanted) == ("de", True)


def test_entities_are_read() -> None:
    source = "".join(f"<p>{''.join(f'&#{ord(character)};' for character in SENTENCES['ru'])}</p>" * 9)
    assert guess_language(source, ["en"]).language == "ru"


def test_a_long_page_is_sampled_all_over() -> None:
    source = page("de", times=2000) + page("en", times=2000)
    assert 0.3 < guess_language(source, ["en"]).wanted_share < 0.7


def test_shares_add_up() -> None:
    shares, letter_bytes = language_shares(f"{SENTENCES['en']} {SENTENCES['ru']}")
    assert sum(shares.values()) == pytest.approx(1.0)
    assert {"en", "ru"} <= set(shares)
    assert letter_bytes > 100
    assert language_shares("") == ({UNKNOWN: 1.0}, 0)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_any_source_is_guessed_at(source: str) -> None:
    guess = guess_language(f"<p>{source}</p>" * 3, ["en"])
    assert isinstance(guess, LanguageGuess)
    assert 0 <= guess.wanted_share <= 1.001


def test_hardly_any_real_page_is_lost(common_crawl: Path) -> None:
    """Of the pages whose text is in a language, the guess for that language gives up at most 1 in 200."""
    wanted, lost = Counter[str](), Counter[str]()
    spared = others = 0
    with open_gzip(common_crawl / "labels.jsonl.gz", "rt") as lines:
        places = {(label["warc"], label["offset"]) for label in map(json.loads, list(lines)[::SAMPLE])}
    for warc in sorted({warc for warc, _ in places}):
        with (common_crawl / warc).open("rb") as stream:
            for item in read_pages(stream, ReadLimits()):
                if not isinstance(item, Page) or (warc, item.offset) not in places:
                    continue
                source = decode(item.payload, item.content_type).text
                language, score = identify(text_of(source, item.url, ExtractionConfig()))
                if score >= 0.65:
                    wanted[language] += 1
                    lost[language] += guess_language(source, [language]).is_surely_unwanted
                if language != "en":
                    others += 1
                    spared += guess_language(source, ["en"]).is_surely_unwanted
    assert wanted.total() > 100
    assert lost.total() <= 0.005 * wanted.total() + 1, lost
    assert lost["en"] == 0
    assert spared >= 0.6 * others
