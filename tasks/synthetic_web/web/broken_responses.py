"""Responses without a readable page: redirects, errors, other media types, empty and truncated bodies.

Notable: the truncated pages end before half of their text, so they are useless even to a reader that ignores
WARC-Truncated; the mislabelled ones claim text/html and are not.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from tasks.synthetic_web.texts.articles import write_article
from tasks.synthetic_web.texts.country import Place
from tasks.synthetic_web.texts.draws import Draws
from tasks.synthetic_web.texts.poor_texts import paragraphs_html
from tasks.synthetic_web.texts.sentences import answer
from tasks.synthetic_web.web.layouts import Site, render
from tasks.synthetic_web.web.responses import Response, Truth, html_response, meta_line, respond

_GIF = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
_ERRORS = ("404 Not Found", "404 Not Found", "404 Not Found", "410 Gone", "403 Forbidden", "500 Internal Server Error")


def break_response(url: str, kind: str, site: Site, place: Place, draws: Draws) -> Response:
    """Return a response of one of `BROKEN_KINDS`; any words in it are about `place`."""
    return _KINDS[kind](url, site, place, draws)


def _redirect(url: str, site: Site, place: Place, draws: Draws) -> Response:
    status = draws.choose(("301 Moved Permanently", "302 Found", "308 Permanent Redirect"))
    body = f"<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\n".encode()
    truth = Truth("redirect", "extract", "status")
    return respond(url, status, "text/html", body, "text/html", truth, draws, location=f"https://{site.host}/")


def _error(url: str, site: Site, place: Place, draws: Draws) -> Response:
    status = draws.choose(_ERRORS)
    body = f"<p>Sorry, there is nothing to read here.</p>\n<p>{answer(draws.choose(place.facts))}</p>"
    html = render(site, "error", status, body, "en", meta_line("utf8"), draws)
    response = html_response(url, html, "utf8", Truth("error", "extract", "status"), draws)
    return replace(response, status=status)


def _pdf(url: str, site: Site, place: Place, draws: Draws) -> Response:
    truth = Truth("pdf", "extract", "not_html")
    content_type = draws.choose(("application/pdf", "application/pdf", "text/html"))
    return respond(url, "200 OK", content_type, _pdf_body(place, draws), "application/pdf", truth, draws)


def _pdf_body(place: Place, draws: Draws) -> bytes:
    stream = f"BT /F1 12 Tf 72 720 Td ({answer(draws.choose(place.facts))}) Tj ET"
    return (
        "%PDF-1.4\n1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> "
        "endobj\n3 0 obj << /Type /Page /Parent 2 0 R /Contents 4 0 R >> endobj\n"
        f"4 0 obj << /Length {len(stream)} >> stream\n{stream}\nendstream endobj\ntrailer << /Root 1 0 R >>\n%%EOF\n"
    ).encode()


def _json(url: str, site: Site, place: Place, draws: Draws) -> Response:
    body = json.dumps({"place": place.name, **{fact.relation: fact.value for fact in place.facts}}).encode()
    truth = Truth("json", "extract", "not_html")
    return respond(url, "200 OK", "application/json", body, "application/json", truth, draws)


def _image(url: str, site: Site, place: Place, draws: Draws) -> Response:
    body = _GIF + bytes(draws.below(256) for _ in range(draws.between(0, 200)))
    return respond(url, "200 OK", "image/gif", body, "image/gif", Truth("image", "extract", "not_html"), draws)


def _plain_text(url: str, site: Site, place: Place, draws: Draws) -> Response:
    body = "".join(f"{answer(fact)}\n" for fact in place.facts).encode()
    truth = Truth("plain_text", "extract", "not_html")
    return respond(url, "200 OK", "text/plain; charset=utf-8", body, "text/plain", truth, draws)


def _empty(url: str, site: Site, place: Place, draws: Draws) -> Response:
    content_type = draws.choose(("text/html", "text/html; charset=utf-8", ""))
    return respond(url, "200 OK", content_type, b"", "text/html", Truth("empty", "extract", "empty_body"), draws)


def _textless(url: str, site: Site, place: Place, draws: Draws) -> Response:
    html = render(site, "gallery", "", '<img src="/a.jpg" alt=""><img src="/b.jpg" alt="">', "en", "", draws)
    return html_response(url, html, "utf8", Truth("textless", "filter", "too_short", language="en"), draws)


def _truncated(url: str, site: Site, place: Place, draws: Draws) -> Response:
    text = write_article(place, draws)
    html = render(site, "long-read", text.title, paragraphs_html(text.paragraphs), "en", meta_line("utf8"), draws)
    start = html.index(text.paragraphs[0][:20])
    cut = start + len(text.main_text) * draws.between(5, 40) // 100 if draws.chance(0.5) else start // 2
    truth = Truth("truncated", "filter", "too_short", language="en", layout=site.layout, charset="utf8")
    response = html_response(url, html[:cut], "utf8", truth, draws)
    return replace(response, truncated=draws.choose(("length", "disconnect", "time")))


_KINDS: dict[str, Callable[[str, Site, Place, Draws], Response]] = {
    "redirect": _redirect,
    "error": _error,
    "pdf": _pdf,
    "json": _json,
    "image": _image,
    "plain_text": _plain_text,
    "empty": _empty,
    "textless": _textless,
    "truncated": _truncated,
}

BROKEN_KINDS: tuple[str, ...] = tuple(_KINDS)
"""The kinds of broken responses."""
