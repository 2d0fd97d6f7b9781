"""Words in classes and ids that say what an element is for, and the roles of tags, as bit masks.

Notable: one bit a pattern, so that what all the boxes around a text are called is one integer. Classes repeat within a
site and their words across sites, so the masks of both are kept.
"""

import re
from functools import lru_cache
from typing import Final

_CLASS_PATTERNS_WRITTEN = """
nav menu breadcrumb foot head side comment repl post content article entry body main product price desc review
rating relat recommend share social cookie|consent|gdpr modal|popup|dialog|overlay
ads|advert|sponsor|banner|promo newsletter|subscri|signup login|signin|register|account search tag meta
author|byline date|time|publish pagin|pager widget forum|thread|topic message user|profile|avatar|member
signature quote card item grid|row|col list result hero|jumbo title caption copyright|legal|disclaimer
hidden|screen|visually toc tab accordion|collaps|faq feature spec|attribut|detail categor
filter|facet|sort|refine cart|basket|checkout btn|button|cta tool|action skip print notice|alert|warning
logo|brand carousel|slider|swiper|slick cross|upsell|similar|also|more read|story text|copy|prose|rich section
wrapper|container|layout page group question|answer|qa vote|like|score|stat
intro|summary|excerpt|lead|abstract|teaser label|badge gallery|image|img|photo|media|figure|video table|data
option|variant|swatch|size|color shipping|delivery|stock|avail map|location|address|contact testimonial
lang|locale|country|currency view|show hide|close|toggle|open drawer|offcanvas|mobile dropdown|submenu|mega
last|prev|next code|highlight|source job|company event|ticket doc|markdown|wiki|reference
"""
CLASS_PATTERNS: Final = tuple(_CLASS_PATTERNS_WRITTEN.split())
"""Regular expressions, one bit each, in the order of their bits."""

_ROLES_WRITTEN = """
nav header footer aside main article section form list table figure quote dl button pre dialog details p heading
li h1 cell noscript
"""
ROLES: Final = tuple(_ROLES_WRITTEN.split())
"""What tags and ARIA roles say of an element, in the order of their bits."""
_ROLE_TAGS = {
    **{role: role for role in ("nav", "header", "footer", "aside", "main", "article", "section", "form", "table")},
    **{role: role for role in ("figure", "dl", "button", "pre", "dialog", "details", "p", "li", "noscript")},
    **{"fieldset": "form", "ul": "list", "ol": "list", "menu": "list", "blockquote": "quote", "label": "button"},
    **{"summary": "details", "td": "cell", "th": "cell", **{f"h{level}": "heading" for level in range(1, 7)}},
}
_ARIA_ROLES = {
    **{"navigation": "nav", "search": "nav", "menu": "nav", "menuitem": "nav", "banner": "header", "main": "main"},
    **{"contentinfo": "footer", "complementary": "aside", "article": "article", "form": "form", "list": "list"},
    **{"button": "button", "dialog": "dialog", "heading": "heading"},
}
TAG_ROLES: Final = {tag: 1 << ROLES.index(role) for tag, role in _ROLE_TAGS.items()}
"""Mask of each tag that has a role."""
TAG_ROLES["h1"] |= 1 << ROLES.index("h1")
ARIA_ROLES: Final = {name: 1 << ROLES.index(role) for name, role in _ARIA_ROLES.items()}
"""Mask of each value of the attribute `role` that counts."""

_MOST_CHARS = 300
_PATTERNS = [re.compile(pattern) for pattern in CLASS_PATTERNS]
_ANY = re.compile("|".join(CLASS_PATTERNS))
_NAME_PART = re.compile("[A-Z]?[a-z]+|[A-Z]+")


def class_mask(names: str) -> int:
    """Return which of `CLASS_PATTERNS` occur in the words of the classes and ids of an element."""
    return _mask(names[:_MOST_CHARS])


@lru_cache(maxsize=20_000)
def _mask(names: str) -> int:
    found = 0
    for part in _NAME_PART.findall(names):
        found |= _part_mask(part)
    return found


@lru_cache(maxsize=20_000)
def _part_mask(part: str) -> int:
    lower = part.lower()
    if not _ANY.search(lower):
        return 0
    return sum(1 << place for place, pattern in enumerate(_PATTERNS) if pattern.search(lower))
