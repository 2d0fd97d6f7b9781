"""HTML around the text: six kinds of sites with menus, banners, sidebars, scripts, comments and footers.

Notable: nothing around the text is part of a page's main text, visitors' comments included. Its words are the same in
all languages, as on many real sites.
"""

from dataclasses import dataclass
from html import escape
from string import Template

from tasks.synthetic_web.data import read_data
from tasks.synthetic_web.texts.draws import Draws
from tasks.synthetic_web.texts.sentences import filler

_DATA = read_data("layouts")
LAYOUTS: tuple[str, ...] = tuple(_DATA["bodies"])
"""The kinds of sites."""


@dataclass(frozen=True)
class Site:
    """A web site of the invented country."""

    host: str
    name: str
    layout: str
    """One of `LAYOUTS`."""


def render(site: Site, slug: str, title: str, body_html: str, language: str, meta: str, draws: Draws) -> str:
    """Return the whole HTML page; `meta` is the line that declares the charset, or empty."""
    authors = _DATA["authors"]
    comment = '<li class="comment"><div class="comment-body"><b>{}</b> {}</div></li>'
    year, month, day = draws.between(2014, 2026), draws.between(1, 12), draws.between(1, 28)
    menu, posts = draws.sample(_DATA["menu"], draws.between(5, 8)), draws.sample(_DATA["related"], 4)
    fields = {
        "lang": language,
        "meta": meta,
        "layout": site.layout,
        "slug": slug,
        "title": escape(title, quote=False),
        "site": escape(site.name, quote=False),
        "body": body_html,
        "menu": "".join(f'<li><a href="/{item.lower().replace(" ", "-")}">{item}</a></li>' for item in menu),
        "related": "".join(f'<li><a href="/post/{draws.below(900)}">{post}</a></li>' for post in posts),
        "comments": "\n".join(comment.format(draws.choose(authors), filler(draws)) for _ in range(draws.between(1, 3))),
        "date": f"{year}-{month:02d}-{day:02d}",
        "author": draws.choose(authors),
    }
    return Template(_DATA["head"] + _DATA["bodies"][site.layout]).substitute(fields)
