"""The web sites of the invented country: hosts, names and addresses.

Notable: hosts end in `.example`, which no one can own (RFC 2606), and their names say nothing about a town.
"""

from tasks.synthetic_web.texts.draws import Draws
from tasks.synthetic_web.web.layouts import LAYOUTS, Site

_FIRST = ("daily", "silver", "open", "green", "little", "northern", "garden", "paper", "evening", "happy")
_SECOND = ("lantern", "courier", "window", "almanac", "corner", "notebook", "compass", "gazette", "kettle", "lane")
_SECTIONS = ("towns", "travel", "post", "wiki", "t", "p", "articles", "2024/06", "2025/11", "item")


def invent_sites(n: int, draws: Draws) -> list[Site]:
    """Return `n` sites, at most a hundred, each with a layout; all layouts are about equally frequent."""
    pairs = draws.sample([(first, second) for first in _FIRST for second in _SECOND], n)
    return [
        Site(f"www.{first}-{second}.example", f"{first} {second}".title(), LAYOUTS[i % len(LAYOUTS)])
        for i, (first, second) in enumerate(pairs)
    ]


def address(site: Site, slug: str, number: int, draws: Draws) -> str:
    """Return an address on a site, unique through its number."""
    scheme = "http" if draws.chance(0.1) else "https"
    return f"{scheme}://{site.host}/{draws.choose(_SECTIONS)}/{slug}-{number}{draws.choose(('', '.html', '/'))}"


def slug_of(title: str) -> str:
    """Return a title as part of an address: ASCII letters and hyphens."""
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in title.lower()).split()
    return "-".join(words) or "page"
