"""Responses without a readable page: redirects, errors, other media types, empty and truncated bodies.

Notable: the truncated pages end before half of their text, so they are useless even to a reader that ignores
WARC-Truncated; the mislabelled ones claim text/html and are not.
"""

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
    respond_so, reason = _KINDS[kind]
    truth = Truth(kind=kind, expected="filter" if reason == "too_short" else "extract", reason=reason)
    return respond_so(url, site, place, truth, draws)


def _redirect(url: str, site: Site, place: Place, truth: Truth, draws: Draws) -> Response:
    status = draws.choose(("301 Moved Permanently", "302 Found", "308 Permanent Redirect"))
    body = f"<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\n".encode()
    return respond(url, status, "text/html", body, "text/html", truth, draws, location=f"https://{site.host}/")


def _error(url: str, site: Site, place: Place, truth: Truth, draws: Draws) -> Response:
    status = draws.choose(_ERRORS)
    body = f"<p>Sorry, there is nothing to read here.</p>\n<p>{answer(draws.choose(place.facts))}</p>"
    html = render(site, "error", status, body, "en", meta_line("utf8"), draws)
    response = html_response(url, html, "utf8", truth, draws)
    return replace(response, status=status)


def _pdf(url: str, site: Site, place: Place, truth: Truth, draws: Draws) -> Response:
    content_type = draws.choose(("application/pdf", "application/pdf", "text/html"))
    stream = f"BT /F1 12 Tf 72 720 Td ({answer(draws.choose(place.facts))}) Tj ET"
    body = (
        "%PDF-1.4\n1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> "
        "endobj\n3 0 obj << /Type /Page /Parent 2 0 R /Contents 4 0 R >> endobj\n"
        f"4 0 obj << /Length {len(stream)} >> stream\n{stream}\nendstream endobj\ntrailer << /Root 1 0 R >>\n%%EOF\n"
    ).encode()
    return respond(url, "200 OK", content_type, body, "application/pdf", truth, draws)


def _json(url: str, site: Site, place: Place, truth: Truth, draws: Draws) -> Response:
    body = json.dumps({"place": place.name, **{fact.relation: fact.value for fact in place.facts}}).encode()
    return respond(url, "200 OK", "application/json", body, "application/json", truth, draws)


def _image(url: str, site: Site, place: Place, truth: Truth, draws: Draws) -> Response:
    body = _GIF + bytes(draws.below(256) for _ in range(draws.between(0, 200)))
    return respond(url, "200 OK", "image/gif", body, "image/gif", truth, draws)


def _plain_text(url: str, site: Site, place: Place, truth: Truth, draws: Draws) -> Response:
    body = "".join(f"{answer(fact)}\n" for fact in place.facts).encode()
    return respond(url, "200 OK", "text/plain; charset=utf-8", body, "text/plain", truth, draws)


def _empty(url: str, site: Site, place: Place, truth: Truth, draws: Draws) -> Response:
    content_type = draws.choose(("text/html", "text/html; charset=utf-8", ""))
    return respond(url, "200 OK", content_type, b"", "text/html", truth, draws)


def _textless(url: str, site: Site, place: Place, truth: Truth, draws: Draws) -> Response:
    html = render(site, "gallery", "", '<img src="/a.jpg" alt=""><img src="/b.jpg" alt="">', "en", "", draws)
    return html_response(url, html, "utf8", truth, draws).with_truth(language="en")


def _truncated(url: str, site: Site, place: Place, truth: Truth, draws: Draws) -> Response:
    text = write_article(place, draws)
    html = render(site, "long-read", text.title, paragraphs_html(text.paragraphs), "en", meta_line("utf8"), draws)
    start = html.index(text.paragraphs[0][:20])
    cut = start + len(text.main_text) * draws.between(5, 40) // 100 if draws.chance(0.5) else start // 2
    response = html_response(url, html[:cut], "utf8", truth, draws)
    response = response.with_truth(language="en", layout=site.layout, charset="utf8")
    return replace(response, truncated=draws.choose(("length", "disconnect", "time")))


_KINDS: dict[str, tuple[Callable[[str, Site, Place, Truth, Draws], Response], str]] = {
    "redirect": (_redirect, "status"),
    "error": (_error, "status"),
    "pdf": (_pdf, "not_html"),
    "json": (_json, "not_html"),
    "image": (_image, "not_html"),
    "plain_text": (_plain_text, "not_html"),
    "empty": (_empty, "empty_body"),
    "textless": (_textless, "too_short"),
    "truncated": (_truncated, "too_short"),
}

BROKEN_KINDS: tuple[str, ...] = tuple(_KINDS)
"""The kinds of broken responses."""
