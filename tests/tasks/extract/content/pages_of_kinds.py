"""A page of each kind, of our own writing: what a reader came for, between what every site puts around it."""

from dataclasses import dataclass

NAVIGATION = (
    '<nav class="main-nav"><ul>'
    + "".join(
        f'<li><a href="/{name.lower()}">{name}</a></li>' for name in ("Home", "Harbour", "Shop", "Forum", "Contact")
    )
    + "</ul></nav>"
)
FOOTER = (
    '<footer class="site-footer"><p>© 2026 Tolvane Press. All rights reserved.</p>'
    '<ul><li><a href="/privacy">Privacy policy</a></li><li><a href="/terms">Terms of use</a></li></ul></footer>'
)
BANNER = '<div class="cookie-banner"><p>We use cookies to make this site better.</p><button>Accept all</button></div>'
BOILERPLATE = ("Accept all", "Privacy policy", "All rights reserved")
"""Pieces that no page's text may have."""


@dataclass(frozen=True, slots=True)
class PageOfKind:
    """A page and what must come out of it."""

    kind: str
    url: str
    html: str
    wanted: tuple[str, ...]
    """Pieces of its main text."""
    unwanted: tuple[str, ...] = ()
    """Pieces of what is around it, beside `BOILERPLATE`."""


def _page(title: str, content: str, head: str = "") -> str:
    return (
        f"<!DOCTYPE html><html><head><title>{title} | Tolvane</title>{head}</head><body>{BANNER}"
        f'<header class="site-header">{NAVIGATION}</header>{content}{FOOTER}</body></html>'
    )


def _declares(kind: str) -> str:
    return f'<script type="application/ld+json">{{"@context": "https://schema.org", "@type": "{kind}"}}</script>'


_PARAGRAPHS = (
    "The harbour of Tolvane froze over on the second of January, for the first time in forty years, and the ferries lay"
    " still until the end of the month.",
    "Salt was carried across the ice on sledges, as the guild's books describe it, and the price of bread rose by a"
    " third within a week.",
    "The council had the bells rung every hour, so that nobody would lose the way in the fog that lay over the sound.",
    "When the ice broke at last, two sledges and a cart were lost, but no one was hurt, and the first ferry left with"
    " three hundred passengers.",
)
_POSTS = (
    (
        "quayside",
        "Has anyone tried to varnish a clinker hull in winter? Mine takes days to dry, and the second coat peels.",
    ),
    ("anna_m", "Warm the shed first. Below ten degrees the varnish never hardens, whatever the tin says about it."),
    (
        "old_salt",
        "I thin the first coat by half and wait a week. It has held for six years on my boat without a crack.",
    ),
    ("quayside", "Thanks both. I put two heaters in the shed, and the coat from Sunday is already hard this morning."),
)
_GOODS = ("Storm lantern", "Brass compass", "Oilskin coat", "Tarred rope", "Deck brush", "Signal flag", "Cork float")
_STOCK = tuple(f"{name}, {size}" for size in ("small", "large", "spare") for name in _GOODS)
"""As many goods as a shop has on a page."""
_ENTRIES = (
    ("Ferry timetable for the winter", "All crossings between Tolvane and Marrow Head from November to March."),
    ("Register of moorings", "Who holds which mooring in the inner harbour, with the fees that are due each quarter."),
    ("Tide tables", "High and low water at the bar for every day of the year, as the harbour office publishes them."),
    ("Chart of the sound", "Depths, wrecks and marks between the two lighthouses, surveyed anew after the last storm."),
    ("Rules of the quay", "What may be loaded, where carts may stand, and at which hours the crane may be used."),
    ("Pilots and their boats", "Names, licences and signals of the eight pilots who bring ships across the bar."),
)

ARTICLE = PageOfKind(
    "article",
    "https://news.tolvane.example/2026/01/harbour-frozen",
    _page(
        "Harbour frozen for a month",
        '<main><article class="post"><h1>Harbour frozen for a month</h1><div class="entry-content">'
        + "".join(f"<p>{text}</p>" for text in _PARAGRAPHS)
        + '</div></article></main><aside class="sidebar"><h3>Most read</h3><ul>'
        + "".join(f'<li><a href="/{n}">Story number {n} of the week</a></li>' for n in range(6))
        + "</ul></aside>",
        '<meta property="og:type" content="article">' + _declares("NewsArticle"),
    ),
    _PARAGRAPHS,
    ("Story number 3", "Most read"),
)
DOCUMENTATION = PageOfKind(
    "documentation",
    "https://docs.tolvane.example/en/latest/guide/tides.html",
    _page(
        "Reading tides",
        '<div class="sphinxsidebar"><ul>'
        + "".join(f'<li class="toctree-l1"><a href="{n}.html">Chapter {n}</a></li>' for n in range(8))
        + '</ul></div><div class="document"><div class="body" role="main"><section id="tides"><h1>Reading tides</h1>'
        "<p>The function <code>read_tides</code> returns the height of the water at a gauge, in metres, for each hour"
        " of a day.</p><pre>from tolvane import read_tides\n\nheights = read_tides(gauge=7)\n</pre>"
        "<h2>Parameters</h2><dl><dt>gauge</dt><dd><p>Number of the gauge, as it is painted on the post.</p></dd>"
        "<dt>day</dt><dd><p>The day to read; today if it is not given.</p></dd></dl>"
        "<h2>Errors</h2><p>Where a gauge is frozen, <code>FrozenGaugeError</code> is raised with the hour of its last"
        " reading.</p></section></div></div>",
        '<meta name="generator" content="Sphinx">',
    ),
    ("The function read_tides returns the height", "heights = read_tides(gauge=7)", "Number of the gauge"),
    ("Chapter 5",),
)
FORUM = PageOfKind(
    "forum",
    "https://forum.tolvane.example/threads/varnish-in-winter.1234/",
    _page(
        "Varnish in winter",
        '<div class="p-body"><h1 class="p-title">Varnish in winter</h1><div class="thread">'
        + "".join(
            f'<article class="message post"><div class="message-user"><h4 class="username"><a href="/m/{name}">{name}'
            f'</a></h4><span class="userTitle">Member</span></div><div class="message-body"><p>{text}</p></div>'
            '<div class="message-actions"><a href="#">Like</a> <a href="#">Reply</a></div></article>'
            for name, text in _POSTS
        )
        + "</div></div>",
        _declares("DiscussionForumPosting"),
    ),
    tuple(text for _, text in _POSTS),
)
PRODUCT = PageOfKind(
    "product",
    "https://shop.tolvane.example/products/storm-lantern",
    _page(
        "Storm lantern",
        '<main><div class="product"><h1 class="product-title">Storm lantern</h1><span class="price">$39.00</span>'
        '<button class="add-to-cart">Add to cart</button><div class="product-description"><p>A lantern of brass and'
        " thick glass that burns for twenty hours on one filling and stays lit in any wind.</p><ul><li>Height: 31 cm"
        "</li><li>Weight: 1.2 kg</li><li>Fuel: lamp oil</li></ul></div></div>"
        '<div class="related-products"><h2>You may also like</h2>'
        + "".join(f'<div class="card"><a href="/products/{n}">{name}</a></div>' for n, name in enumerate(_GOODS[1:]))
        + "</div></main>",
        '<meta property="og:type" content="product">' + _declares("Product"),
    ),
    ("A lantern of brass and thick glass", "Height: 31 cm"),
    ("Cork float",),
)
COLLECTION = PageOfKind(
    "collection",
    "https://tolvane.example/collections/boat-gear?srsltid=Af4x",
    _page(
        "Boat gear",
        '<main><h1 class="collection-title">Boat gear</h1><div class="collection-description"><p>Everything a small'
        " boat needs on deck, made by people who sail the sound themselves.</p></div>"
        '<div class="product-grid">'
        + "".join(
            f'<div class="product-card"><h3><a href="/products/{n}">{name}</a></h3>'
            f'<span class="price">Sale price ${20 + 3 * n}.00</span><button>Add to cart</button></div>'
            for n, name in enumerate(_STOCK)
        )
        + "</div></main>",
        '<meta name="generator" content="Shopify">' + _declares("CollectionPage"),
    ),
    ("Everything a small boat needs", "Brass compass", "Signal flag"),
)
LISTING = PageOfKind(
    "listing",
    "https://www.tolvane.example/directory/?q=harbour",
    _page(
        "Results for harbour",
        '<main><h1>Results for harbour</h1><ul class="search-results">'
        + "".join(
            f'<li class="result"><h3><a href="/d/{n}">{name}</a></h3><p>{text}</p></li>'
            for n, (name, text) in enumerate(_ENTRIES)
        )
        + '</ul><div class="pagination"><a href="?page=2">2</a> <a href="?page=2">Next</a></div>'
        "</main>",
        _declares("ItemList"),
    ),
    tuple(text for _, text in _ENTRIES),
)
SERVICE = PageOfKind(
    "service",
    "https://www.tolvane-movers.example/services/moving-by-sea",
    _page(
        "Moving by sea",
        '<main><section class="hero"><h1>Moving by sea</h1><p>We carry your household across the sound in a day,'
        ' insured and dry.</p><a class="btn" href="/quote">Get a quote</a></section>'
        '<section class="features"><h2>What we do</h2><div class="feature"><h3>Packing</h3><p>Our crew packs'
        ' everything from pianos to porcelain.</p></div><div class="feature"><h3>Storage</h3><p>Keep your furniture in'
        ' our dry stores on the quay for up to a year.</p></div><div class="feature"><h3>Insurance</h3><p>Every move is'
        " covered for its full value, from door to door.</p></div></section>"
        '<section class="faq"><h2>Questions</h2><h3>How early must I book?</h3><p>Three weeks before the day of the'
        " move, or six in summer.</p></section></main>",
        '<meta property="og:type" content="website">' + _declares("Organization"),
    ),
    ("We carry your household across the sound", "Keep your furniture in our dry stores", "Three weeks before the day"),
)
PAGES_OF_KINDS = (ARTICLE, DOCUMENTATION, FORUM, PRODUCT, COLLECTION, LISTING, SERVICE)
