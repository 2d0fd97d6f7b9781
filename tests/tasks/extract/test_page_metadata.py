"""What pages say about themselves: where it is found, in which form it is kept, and what is not believed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.extract.config import ExtractionConfig
from tasks.extract.main_text import parse_page
from tasks.extract.page_metadata import ROBOTS_DIRECTIVES, PageMetadata, read_metadata
from tests.golden.make_filter_vectors import LINES

URL = "https://tolvane.example/ferry/times"
CAPTURED = datetime(2026, 11, 7, 2, 55, tzinfo=UTC)
NOTHING = PageMetadata(title=None, published=None, declared_language=None, robots=[], license=None)


def read(
    head: str = "", body: str = "", html: str = "<html>", headers: Mapping[str, str] | None = None
) -> PageMetadata:
    source = f"<!DOCTYPE html>{html}<head>{head}</head><body><p>{LINES[0]}</p>{body}</body></html>"
    tree = parse_page(source, ExtractionConfig())
    assert tree is not None
    return read_metadata(tree, source, URL, CAPTURED, headers or {})


def meta(name: str, content: str, attribute: str = "name") -> str:
    return f'<meta {attribute}="{name}" content="{content}">'


def test_a_silent_page_has_no_metadata() -> None:
    assert read() == NOTHING


@pytest.mark.parametrize(
    ("head", "title"),
    [
        ("<title> The\n  ferry </title>", "The ferry"),
        ("<title>The ferry | Tolvane Press</title>" + meta("og:title", "The ferry", "property"), "The ferry"),
        ("<title>The ferry</title>" + meta("og:title", " ", "property"), "The ferry"),
        ("<title>First</title><title>Second</title>", "First"),
        ("<title>a&#x202E;b&#7;c</title>", "a b c"),
        (f"<title>{'x' * 1000}</title>", "x" * 300),
        ("<title></title>", None),
    ],
)
def test_titles(head: str, title: str | None) -> None:
    assert read(head).title == title


@pytest.mark.parametrize(
    ("found", "published"),
    [
        ({"head": meta("article:published_time", "2024-03-09T08:00:00+01:00", "property")}, "2024-03-09"),
        ({"head": meta("datePublished", "2024-03-09", "itemprop")}, "2024-03-09"),
        ({"head": meta("citation_publication_date", "2024/3/9")}, "2024-03-09"),
        ({"head": meta("DC.date.issued", "20240309")}, "2024-03-09"),
        ({"body": '<script type="application/ld+json">{"datePublished": "2024-03-09T00:00Z"}</script>'}, "2024-03-09"),
        ({"body": '<time datetime="2024-03-09">yesterday</time>'}, "2024-03-09"),
        ({"body": '<time datetime="2020-01-01"></time><time datetime="2024-03-09" pubdate></time>'}, "2024-03-09"),
        ({"head": meta("date", "2020-01-01") + meta("article:published_time", "2024-03-09", "property")}, "2024-03-09"),
        ({"head": meta("date", "next week"), "body": '<time datetime="2024-03-09"></time>'}, "2024-03-09"),
        ({"head": meta("date", "2026-11-08")}, "2026-11-08"),
        ({"head": meta("date", "2026-11-09")}, None),
        ({"head": meta("date", "2024-02-30")}, None),
        ({"head": meta("date", "0024-02-03")}, None),
        ({"head": meta("date", "2024-02-031")}, None),
        ({"head": meta("date", "202403")}, None),
        ({"head": meta("date", "09/03/2024")}, None),
    ],
)
def test_dates_of_publication(found: dict[str, Any], published: str | None) -> None:
    assert read(**found).published == published


@pytest.mark.parametrize(
    ("found", "language"),
    [
        ({"html": '<html lang="de-AT">'}, "de"),
        ({"html": '<html lang="DEU">'}, "de"),
        ({"html": '<html lang="ger">'}, "de"),
        ({"html": '<html xml:lang="nb-NO">'}, "no"),
        ({"html": '<html lang="zh_CN">'}, "zh"),
        ({"html": '<html lang="jp">'}, "ja"),
        ({"html": '<html lang="ceb">'}, "ceb"),
        ({"head": '<meta http-equiv="Content-Language" content="fr, en">'}, "fr"),
        ({"headers": {"content-language": "el"}}, "el"),
        ({"html": '<html lang="pl">', "headers": {"content-language": "en"}}, "pl"),
        ({"html": '<html lang="{{ locale }}">'}, None),
        ({"html": '<html lang="english">'}, None),
        ({"html": '<html lang="">'}, None),
    ],
)
def test_declared_languages(found: dict[str, Any], language: str | None) -> None:
    assert read(**found).declared_language == language


@pytest.mark.parametrize(
    ("found", "robots"),
    [
        ({"head": meta("robots", "NoIndex, nofollow")}, ["nofollow", "noindex"]),
        ({"head": meta("ROBOTS", "noai noimageai")}, ["noai", "noimageai"]),
        (
            {"head": meta("googlebot", "noarchive") + meta("robots", "none")},
            ["noarchive", "nofollow", "noindex", "none"],
        ),
        ({"head": meta("robots", "index, follow, max-snippet:-1, max-image-preview:large")}, []),
        ({"head": meta("otherbot", "noindex")}, []),
        ({"headers": {"x-robots-tag": "noindex, noai"}}, ["noai", "noindex"]),
        ({"headers": {"x-robots-tag": "googlebot: noindex, nofollow, otherbot: noai"}}, ["nofollow", "noindex"]),
        ({"headers": {"x-robots-tag": "otherbot: noai, *: noindex"}}, ["noindex"]),
        ({"headers": {"x-robots-tag": "unavailable_after: 25 Jun 2030 15:00:00 PST, noindex"}}, ["noindex"]),
        ({"headers": {"x-robots-tag": "otherbot: noindex\nnoai"}}, ["noai"]),
        ({"headers": {"x-robots-tag": "noai; noimageai"}}, ["noai", "noimageai"]),
        ({"headers": {"x-robots-tag": "otherbot: noai; noindex\nccbot: noarchive"}}, ["noarchive"]),
        ({"head": meta("robots", "noai; noimageai")}, ["noai", "noimageai"]),
        ({"head": meta("robots", "max-video-preview: 0, noai")}, ["noai"]),
        ({"headers": {"tdm-reservation": "0\n1"}}, ["tdm-reservation"]),
        ({"headers": {"tdm-reservation": "1"}}, ["tdm-reservation"]),
        ({"head": meta("tdm-reservation", "1")}, ["tdm-reservation"]),
        ({"head": meta("tdm-reservation", "0")}, []),
    ],
)
def test_what_robots_are_asked(found: dict[str, Any], robots: list[str]) -> None:
    assert read(**found).robots == robots


@pytest.mark.parametrize(
    ("found", "address"),
    [
        ({"body": '<a rel="license" href="/terms">Terms</a>'}, "https://tolvane.example/terms"),
        ({"head": '<link rel="nofollow license" href="https://a.example/l">'}, "https://a.example/l"),
        (
            {"body": '<a href="https://creativecommons.org/licenses/by/4.0/">CC</a>'},
            "https://creativecommons.org/licenses/by/4.0/",
        ),
        ({"body": '<a href="https://creativecommons.org/about/">About CC</a>'}, None),
        ({"body": '<a href="https://a.example/?creativecommons.org/licenses/by/4.0/">CC</a>'}, None),
        ({"head": meta("dcterms.license", "https://a.example/l")}, "https://a.example/l"),
        ({"head": meta("dc.rights", "All rights reserved")}, None),
        ({"headers": {"link": '</next>; rel=next, <https://a.example/l>; rel="license"'}}, "https://a.example/l"),
        ({"body": '<a rel="license" href="javascript:alert(1)">x</a>'}, None),
        ({"body": f'<a rel="license" href="https://a.example/{"x" * 600}">x</a>'}, None),
        ({"body": '<a rel="license" href="http://[broken/">x</a>'}, None),
    ],
)
def test_licences(found: dict[str, Any], address: str | None) -> None:
    assert read(**found).license == address


PIECES = [
    *("<title>", "</title>", "<meta name=robots content='", "noai,", "'>", '<meta property=og:title content="', '">'),
    *("<time datetime='2024-01-01'>", "<a rel=license href='", "creativecommons.org/licenses/", '"datePublished":"'),
    *("<html lang='", "\ud800", "\x00", "&#55296;", "‮", "中", " ", ":", ",", "2024-01-01", '"', "<body>", "</head>"),
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.text(max_size=40), st.text(max_size=30))
def test_hostile_pages_give_clean_values(source: str, header: str, url: str) -> None:
    tree = parse_page(source, ExtractionConfig())
    if tree is None:
        return
    names = ("x-robots-tag", "content-language", "link", "tdm-reservation")
    found = read_metadata(tree, source, url, CAPTURED, dict.fromkeys(names, header))
    assert found.title is None or (0 < len(found.title) <= 300 and found.title.isprintable())
    assert found.published is None or datetime.fromisoformat(found.published)
    assert found.declared_language is None or (found.declared_language.isalpha() and found.declared_language.islower())
    assert set(found.robots) <= ROBOTS_DIRECTIVES and found.robots == sorted(found.robots)
    assert found.license is None or found.license.lower().startswith(("http://", "https://"))
    for value in (found.title, found.license):
        assert value is None or value.encode()


def test_a_giant_page_is_read_in_no_time() -> None:
    many = meta("robots", "noai, " * 10_000) * 100 + '<a rel="license">' * 20_000 + "<time>" * 20_000
    source = f"<html><head></head><body>{many}{'license ' * 100_000}</body></html>"
    tree = parse_page(source, ExtractionConfig(max_elements=10**6, max_html_chars=10**8))
    assert tree is not None
    began = datetime.now(tz=UTC)
    assert read_metadata(tree, source, URL, CAPTURED, {}).robots == ["noai"]
    assert (datetime.now(tz=UTC) - began).total_seconds() < 5
