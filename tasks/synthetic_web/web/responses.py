"""HTTP responses: a page's text as bytes in some charset, declared correctly, wrongly or not at all.

Notable: every common way of getting a charset wrong has a name here, and the truth has that name for each page, so that
a report can say which of them a decoder gets right.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field, replace

from tasks.base.config import Config
from tasks.synthetic_web.texts.draws import Draws


class Truth(Config):
    """The truth about a response, in the order of its line in the truth file."""

    kind: str
    """`article`, `mirror`, `near_duplicate`, `foreign`, a kind of poor page or a kind of broken response."""
    language: str | None = None
    """ISO 639-1; None where there is no text."""
    main_text: str = ""
    """Title and paragraphs, one a line; empty where there is nothing to read."""
    duplicate_cluster: str | None = None
    """The same for pages that are copies of one another, None where a page is alone; one of them should be kept."""
    original: bool = False
    """Whether the cluster's other pages were copied from this one, which comes first in the crawl."""
    expected: str
    """`keep`, or the stage that should remove it at the latest: `extract`, `filter` or `duplicates`."""
    reason: str | None = None
    """Which kind of rule should remove it, e.g. `status`, `language`, `too_short`, `exact_duplicate`."""
    facts: tuple[str, ...] = ()
    """Ids of the facts that the page states, e.g. `Narsten/river`."""
    layout: str | None = None
    """The kind of site; None where there is no page."""
    charset: str | None = None
    """One of `CHARSETS`; None where there is no text."""


@dataclass(frozen=True)
class Response:
    """A server's answer, with the truth about it."""

    url: str
    status: str
    """Number and phrase, e.g. `200 OK`."""
    headers: tuple[tuple[str, str], ...]
    body: bytes
    media_type: str
    """The type of the body, whatever the header says."""
    truth: Truth
    truncated: str | None = None
    """Why the crawler kept only the body's beginning, e.g. `length`."""

    def with_truth(self, **changes: object) -> Response:
        """Return the same response with some of its truth changed."""
        return replace(self, truth=self.truth.model_copy(update=changes))


@dataclass(frozen=True)
class Charset:
    """A way of encoding a page and of declaring it."""

    header: str | None
    """Charset in the Content-Type header."""
    meta: str | None
    """Charset in the HTML's meta element."""
    codec: str
    """Python codec of the body."""
    bom: bytes = field(default=b"")
    """Byte order mark before the body."""


CHARSETS: dict[str, Charset] = {
    "utf8": Charset("UTF-8", "utf-8", "utf-8"),
    "utf8_in_meta": Charset(None, "UTF-8", "utf-8"),
    "utf8_undeclared": Charset(None, None, "utf-8"),
    "utf8_declared_latin1": Charset("ISO-8859-1", None, "utf-8"),
    "utf8_bom": Charset(None, None, "utf-8", codecs.BOM_UTF8),
    "utf16_bom": Charset("utf-16", None, "utf-16-le", codecs.BOM_UTF16_LE),
    "windows1252": Charset("windows-1252", None, "cp1252"),
    "windows1252_undeclared": Charset(None, None, "cp1252"),
    "windows1252_declared_latin1": Charset("ISO-8859-1", "iso-8859-1", "cp1252"),
    "windows1252_declared_utf8": Charset("UTF-8", "utf-8", "cp1252"),
    "latin1": Charset("iso-8859-1", "iso-8859-1", "latin-1"),
    "latin2": Charset(None, "iso-8859-2", "iso8859-2"),
    "windows1251": Charset("windows-1251", None, "cp1251"),
}
"""Ways of encoding and declaring, by name; the body's encoding comes first in the name."""

ODD_WESTERN = tuple(
    name for name in CHARSETS if name not in ("utf8", "utf8_in_meta", "latin1", "latin2", "windows1251")
)
"""Those that an English page can have and that are easy to misread."""


def meta_line(charset: str) -> str:
    """Return the HTML line that declares a charset, or nothing."""
    declared = CHARSETS[charset].meta
    return f'<meta charset="{declared}">\n' if declared else ""


def html_response(url: str, html: str, charset: str, truth: Truth, draws: Draws) -> Response:
    """Return a page with status 200; raises UnicodeEncodeError where the charset lacks a letter."""
    chosen = CHARSETS[charset]
    body = chosen.bom + html.encode(chosen.codec)
    content_type = f"text/html; charset={chosen.header}" if chosen.header else "text/html"
    return respond(url, "200 OK", content_type, body, "text/html", truth, draws)


def respond(
    url: str, status: str, content_type: str, body: bytes, media_type: str, truth: Truth, draws: Draws, **extra: str
) -> Response:
    """Return a response with the headers that servers commonly send; `extra` adds headers."""
    headers = [("content-type", content_type)] if content_type else []
    if body and draws.chance(0.6):
        headers += [("X-Crawler-Content-Encoding", "gzip"), ("X-Crawler-Content-Length", str(len(body) // 3 + 40))]
    headers += [(name.replace("_", "-"), value) for name, value in extra.items()]
    headers += [
        ("content-length", str(len(body))),
        ("server", draws.choose(("nginx", "Apache/2.4.58 (Debian)", "cloudflare", "LiteSpeed", "Caddy"))),
        ("connection", draws.choose(("keep-alive", "close"))),
    ]
    return Response(url, status, tuple(headers), body, media_type, truth)
