"""A page's statements about itself: title, date of publication, language, licence, and how it may be used.

Notable:
- Read from the tree that the extractor needs anyway, with searches of the source for what is rare: about 0.3 ms a page.
  Trafilatura's own metadata cost many times that, since its search for a date reads all of the page (its issue 779).
- All of it is unproven: every value is checked for its form and cut, and no address is ever followed.
- Restrictions are only collected: those for all robots and those for a search engine's or Common Crawl's. The recipe
  says which of them to heed (`drop_robots`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Literal, get_args
from urllib.parse import urljoin

from lxml import etree

from tasks.base.language_codes import THREE_LETTERS

RobotsDirective = Literal[
    "noindex",
    "nofollow",
    "none",
    "noarchive",
    "nocache",
    "nosnippet",
    "noimageindex",
    "notranslate",
    "noai",
    "noimageai",
    "tdm-reservation",
]
"""A restriction of use; `tdm-reservation` stands for that header or meta tag with the value 1."""
ROBOTS_DIRECTIVES = frozenset(get_args(RobotsDirective))

_MAX_TITLE = 300
_MAX_ADDRESS = 500
_MAX_VALUE = 2000
_MAX_ELEMENTS = 2000
_AGENTS = frozenset(("*", "robots", "googlebot", "bingbot", "ccbot"))
_ROBOTS_NAMES = _AGENTS | {"tdm-reservation"}
_DATE_NAMES = (
    "article:published_time",
    "og:published_time",
    "datepublished",
    "dcterms.issued",
    "dc.date.issued",
    "dcterms.created",
    "dc.date.created",
    "citation_publication_date",
    "parsely-pub-date",
    "sailthru.date",
    "pubdate",
    "publishdate",
    "publish-date",
    "dc.date",
    "dcterms.date",
    "date",
)
_LICENSE_NAMES = ("dcterms.license", "dc.license", "license", "dc.rights", "dcterms.rights", "dcterms.rightsholder")
_NAMES = frozenset((*_DATE_NAMES, *_LICENSE_NAMES, *_ROBOTS_NAMES, "og:title", "content-language"))
_JSON_DATE = re.compile(r'datePublished"\s{0,20}:\s{0,20}"([^"]{8,40})"')
_DATE = re.compile(r"\s{0,20}(\d{4})([-/.]?)(\d{1,2})\2(\d{1,2})(?!\d)")
_LICENSE_LINK = re.compile(r"<([^<>\s]{1,500})>[^,<>]{0,200}?\brel\s*=\s*\"?[^\",;]{0,100}\blicense\b", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://[^\s<>\"'\\^`{}|\x00-\x20\x7f]{3,}", re.IGNORECASE)
_CREATIVE_COMMONS = re.compile(r"https?://(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/", re.IGNORECASE)
_AGENT = re.compile(r"\s*([a-z*][a-z0-9_*-]*)\s*:\s*(?=[a-z])", re.IGNORECASE)
_DIRECTIVES_WITH_VALUES = frozenset(("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"))
_LANGUAGE = re.compile(r"\s*([a-zA-Z]{2,3})(?![a-zA-Z0-9])")
_TWO_LETTERS = {three: two for two, three in THREE_LETTERS.items()} | {
    # The bibliographic codes of ISO 639-2, and codes of countries that pages give for languages.
    **{"alb": "sq", "arm": "hy", "baq": "eu", "bur": "my", "chi": "zh", "cze": "cs", "dut": "nl", "fre": "fr"},
    **{"geo": "ka", "ger": "de", "gre": "el", "ice": "is", "mac": "mk", "may": "ms", "per": "fa", "rum": "ro"},
    **{"slo": "sk", "wel": "cy", "iw": "he", "in": "id", "ji": "yi", "jp": "ja", "cn": "zh", "cz": "cs", "gr": "el"},
    **{"dk": "da", "ua": "uk", "nb": "no", "nn": "no", "nob": "no", "nno": "no"},
}
_LICENSE_WORD = re.compile(r"""license["'\s>]""")
_LICENSE_LINKS = etree.XPath(
    "//*[(self::a or self::link) and contains(concat(' ', normalize-space(@rel), ' '), ' license ')]/@href",
    smart_strings=False,
)
_CREATIVE_COMMONS_LINKS = etree.XPath("//a[contains(@href, 'creativecommons.org/')]/@href", smart_strings=False)


@dataclass(frozen=True, slots=True)
class PageMetadata:
    """A page's statements about itself; None or empty where it makes none that can be used."""

    title: str | None
    """At most 300 characters, without line breaks."""
    published: str | None
    """Date of publication, ISO 8601 (yyyy-mm-dd), not after the day of the capture."""
    declared_language: str | None
    """ISO 639-1 code, or the three-letter one of a language that has none."""
    robots: list[str]
    """Each a `RobotsDirective`, sorted; `none` also brings noindex and nofollow, which it means."""
    license: str | None
    """Address of a licence."""


def read_metadata(
    tree: etree._Element, html: str, url: str, captured: datetime | None, headers: Mapping[str, str]
) -> PageMetadata:
    """Return the metadata of a page from its tree, its source, and its HTTP headers by lower-case name."""
    titles, metas, times = _elements(tree)
    return PageMetadata(
        title=_title([*metas.get("og:title", ()), *titles]),
        published=_first_date(_dates(html, metas, times), captured),
        declared_language=_declared_language(tree, metas, headers),
        robots=_robots(metas, headers),
        license=_license(tree, html, url, metas, headers),
    )


def _elements(tree: etree._Element) -> tuple[list[str], dict[str, list[str]], list[str]]:
    """Return the first title, the content of the meta elements that are read here by lower-case name, and the times of
    time elements, those marked as the publication's first."""
    titles: list[str] = []
    metas: dict[str, list[str]] = {}
    published: list[str] = []
    times: list[str] = []
    for element in islice(tree.iter("title", "meta", "time"), _MAX_ELEMENTS):
        if element.tag == "title":
            titles = titles or [element.text or ""]
        elif element.tag == "time":
            is_marked = element.get("pubdate") is not None or element.get("itemprop") == "datePublished"
            (published if is_marked else times).append(element.get("datetime") or "")
        else:
            for attribute in ("name", "property", "itemprop", "http-equiv"):
                name = (element.get(attribute) or "").lower()
                if name in _NAMES and (content := element.get("content")):
                    metas.setdefault(name, []).append(content[:_MAX_VALUE])
    return titles, metas, published + times[:1]


def _title(titles: Iterable[str]) -> str | None:
    return next((title for title in map(_one_line, titles) if title), None)


def _one_line(text: str) -> str:
    """Return the text's printable characters and joiners, a space for each run of others, cut to a title's length."""
    text = " ".join(text[: 10 * _MAX_TITLE].split())
    if not text.isprintable():
        kept = (character if character.isprintable() or character in "\u200c\u200d" else " " for character in text)
        text = " ".join("".join(kept).split())
    return text[:_MAX_TITLE].rstrip()


def _dates(html: str, metas: Mapping[str, list[str]], times: list[str]) -> Iterator[str]:
    """Yield candidates for the date of publication, the surest first."""
    for name in _DATE_NAMES[:3]:
        yield from metas.get(name, ())
    if match := _JSON_DATE.search(html):
        yield match[1]
    for name in _DATE_NAMES[3:]:
        yield from metas.get(name, ())
    yield from times


def _first_date(candidates: Iterable[str], captured: datetime | None) -> str | None:
    """Return the first candidate that begins with a real date, not later than the capture anywhere on Earth."""
    latest = captured.date() + timedelta(days=1) if captured and captured.date() < date.max else date.max
    for candidate in candidates:
        match = _DATE.match(candidate)
        if match is None or (not match[2] and len(match[3] + match[4]) != 4):
            continue
        try:
            found = date(int(match[1]), int(match[3]), int(match[4]))
        except ValueError:
            continue
        if found.year >= 1000 and found <= latest:
            return found.isoformat()
    return None


def _declared_language(tree: etree._Element, metas: Mapping[str, list[str]], headers: Mapping[str, str]) -> str | None:
    root = tree if tree.tag == "html" else next(tree.iter("html"), tree)
    claims = [
        root.get("lang"),
        root.get("xml:lang"),
        *metas.get("content-language", ()),
        headers.get("content-language"),
    ]
    for claim in claims:
        if claim and (match := _LANGUAGE.match(claim)):
            code = match[1].lower()
            return _TWO_LETTERS.get(code, code)
    return None


def _robots(metas: Mapping[str, list[str]], headers: Mapping[str, str]) -> list[str]:
    values = [value for name in _AGENTS for value in metas.get(name, ())]
    found = {directive for value in values for directive in _directives(value)}
    found.update(_directives(headers.get("x-robots-tag", "")[:_MAX_VALUE]))
    reservations = [*metas.get("tdm-reservation", ()), *headers.get("tdm-reservation", "").split("\n")]
    if any(value.strip() == "1" for value in reservations):
        found.add("tdm-reservation")
    if "none" in found:
        found |= {"noindex", "nofollow"}
    return sorted(found & ROBOTS_DIRECTIVES)


def _directives(value: str) -> Iterator[str]:
    """Yield the directives of lists such as "noindex, otherbot: nofollow" that are for all robots or for one of ours.

    A robot's name holds for what follows it on its line, up to the next name; each line is a header of its own.
    """
    for line in value.lower().split("\n"):
        is_ours = True
        for item in re.split("[,;]", line):
            if (match := _AGENT.match(item)) and match[1] not in _DIRECTIVES_WITH_VALUES:
                is_ours = match[1] in _AGENTS
                item = item[match.end() :]
            if is_ours:
                yield from item.split()


def _license(
    tree: etree._Element, html: str, url: str, metas: Mapping[str, list[str]], headers: Mapping[str, str]
) -> str | None:
    candidates: list[str] = []
    if match := _LICENSE_LINK.search(headers.get("link", "")[:_MAX_VALUE]):
        candidates.append(match[1])
    # The source is searched first: most pages have no such link, and searching the tree takes a third of the time here.
    words = islice(_LICENSE_WORD.finditer(html), _MAX_ELEMENTS)
    if any("rel" in html[max(0, word.start() - 40) : word.start()] for word in words):
        candidates += _LICENSE_LINKS(tree)[:5]
    candidates += [value for name in _LICENSE_NAMES for value in metas.get(name, ()) if "://" in value]
    if "creativecommons.org/" in html:
        candidates += [link for link in _CREATIVE_COMMONS_LINKS(tree)[:20] if _CREATIVE_COMMONS.match(link.strip())]
    return next((address for address in (_absolute(url, link) for link in candidates) if address), None)


def _absolute(url: str, link: str) -> str | None:
    """Return a link's address on the web; None where it has none."""
    try:
        address = urljoin(url, link.strip())
    except ValueError:
        return None
    return address if len(address) <= _MAX_ADDRESS and _ADDRESS.fullmatch(address) else None
