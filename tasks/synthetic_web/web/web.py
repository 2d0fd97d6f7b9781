"""The whole synthetic web: all responses, in the order of the crawl.

Notable: a page comes before its copies in the crawl, so keeping the first of a cluster keeps the original.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tasks.synthetic_web.texts.articles import Text, nearly, with_sentence, write_articles
from tasks.synthetic_web.texts.config import SyntheticWebConfig
from tasks.synthetic_web.texts.country import Country
from tasks.synthetic_web.texts.draws import Draws
from tasks.synthetic_web.texts.foreign_texts import LANGUAGES, write_foreign_text
from tasks.synthetic_web.texts.poor_texts import POOR_KINDS, paragraphs_html, write_poor_text
from tasks.synthetic_web.texts.sentences import ACCENTED
from tasks.synthetic_web.web.broken_responses import BROKEN_KINDS, break_response
from tasks.synthetic_web.web.layouts import Site, render
from tasks.synthetic_web.web.responses import ODD_WESTERN, Response, Truth, html_response, meta_line
from tasks.synthetic_web.web.sites import address, invent_sites, slug_of

_SITES = 48
_ODD_CHARSETS = 0.06
_EMAILS = 0.04
_SINGLE_BYTE = {"pl": "latin2", "ru": "windows1251"}


@dataclass(frozen=True)
class Article:
    """An article and its page."""

    text: Text
    response: Response


def invent_web(config: SyntheticWebConfig, country: Country) -> list[Response]:
    """Return all responses in the order of the crawl."""
    sites = invent_sites(_SITES, Draws(config.seed, "sites"))
    articles = list(_articles(config, country, sites))
    responses = [article.response for article in articles]
    copies = _copies(config, articles, sites)
    clusters = {copy.truth.duplicate_cluster for copy in copies}
    responses = [r.with_truth(duplicate_cluster=r.url, original=True) if r.url in clusters else r for r in responses]
    responses += copies
    responses += _foreign(config, country, sites)
    responses += _poor(config, country, sites)
    responses += _broken(config, country, sites)
    return _originals_first(Draws(config.seed, "order").shuffled(responses))


def _articles(config: SyntheticWebConfig, country: Country, sites: list[Site]) -> Iterator[Article]:
    number = 1000
    for i, town in enumerate(country.towns):
        draws = Draws(config.seed, "articles", town.name)
        pages = config.pages_per_town + (config.capital_extra_pages if i == 0 else 0)
        for text in write_articles(town, pages, draws):
            site = draws.choose(sites)
            charset = "utf8" if draws.chance(0.8) else "utf8_in_meta"
            if draws.chance(_ODD_CHARSETS):
                charset = draws.choose(ODD_WESTERN)
                text = with_sentence(text, draws.choose(ACCENTED))
            elif draws.chance(_EMAILS):
                email = f"{draws.choose(('info', 'office', 'mail', 'post'))}@{site.host.removeprefix('www.')}"
                text = with_sentence(text, f"Write to {email} if you have a question.")
            number += draws.between(1, 9)
            truth = _truth_of("article", "keep", text, site, charset)
            yield Article(text, _page(text, site, number, charset, truth, draws))


def _truth_of(kind: str, expected: str, text: Text, site: Site, charset: str, language: str = "en") -> Truth:
    return Truth(
        kind=kind,
        expected=expected,
        language=language,
        main_text=text.main_text,
        facts=tuple(fact.id for fact in text.facts),
        layout=site.layout,
        charset=charset,
    )


def _page(
    text: Text, site: Site, number: int, charset: str, truth: Truth, draws: Draws, body: str | None = None
) -> Response:
    slug = slug_of(text.title)
    body_html = paragraphs_html(text.paragraphs) if body is None else body
    html = render(site, slug, text.title, body_html, truth.language or "en", meta_line(charset), draws)
    return html_response(address(site, slug, number, draws), html, charset, truth, draws)


def _copies(config: SyntheticWebConfig, articles: list[Article], sites: list[Site]) -> list[Response]:
    """Return mirrors and near-duplicates of plain articles; the original's address names the cluster."""
    draws = Draws(config.seed, "copies")
    plain = [article for article in articles if article.response.truth.charset in ("utf8", "utf8_in_meta")]
    copies: list[Response] = []
    for i in range(config.mirrors + config.near_duplicates):
        original = draws.choose(plain)
        site = draws.choose(sites)
        mirrored = i < config.mirrors
        kind, reason = ("mirror", "exact_duplicate") if mirrored else ("near_duplicate", "near_duplicate")
        text = original.text if mirrored else nearly(original.text, draws)
        truth = _truth_of(kind, "duplicates", text, site, "utf8")
        copy = _page(text, site, 50_000 + i, "utf8", truth, draws)
        if mirrored and draws.chance(0.5):
            copy = Response(copy.url, "200 OK", original.response.headers, original.response.body, "text/html", truth)
            copy = copy.with_truth(layout=original.response.truth.layout, charset=original.response.truth.charset)
        copies.append(copy.with_truth(duplicate_cluster=original.response.url, reason=reason))
    return copies


def _foreign(config: SyntheticWebConfig, country: Country, sites: list[Site]) -> Iterator[Response]:
    draws = Draws(config.seed, "foreign")
    places = country.towns + country.hidden * 4
    for i in range(config.foreign_pages):
        language = LANGUAGES[i % len(LANGUAGES)]
        text = write_foreign_text(draws.choose(places), language, draws)
        site = draws.choose(sites)
        charset = "utf8" if draws.chance(0.7) else _SINGLE_BYTE.get(language, "windows1252")
        truth = _truth_of("foreign", "filter", text, site, charset, language)
        page = _page(text, site, 60_000 + i, charset, truth, draws)
        yield page.with_truth(reason="language")


def _poor(config: SyntheticWebConfig, country: Country, sites: list[Site]) -> Iterator[Response]:
    draws = Draws(config.seed, "poor")
    for i in range(config.poor_pages):
        place = draws.choose(country.hidden or country.towns)
        poor = write_poor_text(place, POOR_KINDS[i % len(POOR_KINDS)], draws)
        site = draws.choose(sites)
        truth = _truth_of(poor.kind, "filter", poor.text, site, "utf8")
        page = _page(poor.text, site, 70_000 + i, "utf8", truth, draws, poor.body_html)
        yield page.with_truth(reason=poor.reason)


def _broken(config: SyntheticWebConfig, country: Country, sites: list[Site]) -> Iterator[Response]:
    draws = Draws(config.seed, "broken")
    for i in range(config.broken_responses):
        kind = BROKEN_KINDS[i % len(BROKEN_KINDS)]
        site = draws.choose(sites)
        place = draws.choose(country.hidden or country.towns)
        yield break_response(address(site, kind.replace("_", "-"), 80_000 + i, draws), kind, site, place, draws)


def _originals_first(responses: list[Response]) -> list[Response]:
    """Return the same order, but within a cluster the original takes the earliest place."""
    ordered = list(responses)
    places: dict[str, list[int]] = {}
    for i, response in enumerate(ordered):
        if response.truth.duplicate_cluster is not None:
            places.setdefault(response.truth.duplicate_cluster, []).append(i)
    for where in places.values():
        at = next(i for i in where if ordered[i].truth.original)
        ordered[where[0]], ordered[at] = ordered[at], ordered[where[0]]
    return ordered
