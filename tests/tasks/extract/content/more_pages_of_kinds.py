"""A second page of each kind, by other software: blog, reference, board, reviews, few goods, events, plans."""

from tests.tasks.extract.content.pages_of_kinds import PageOfKind

_MENU = "".join(f'<a href="/{name}">{name.title()}</a> ' for name in ("about", "archive", "letters", "shop"))


def _site(title: str, content: str, head: str = "") -> str:
    """A site of plain boxes, whose names say little."""
    return (
        f'<!DOCTYPE html><html lang="en"><head><title>{title} - Marrow Head</title>{head}</head><body>'
        f'<div id="top"><a href="/">Marrow Head</a> {_MENU}<form><input name="q"><button>Search</button></form></div>'
        f'<div id="page">{content}</div><footer><p>Marrow Head, by the sea. <a href="/imprint">Imprint</a> '
        '<a href="/privacy">Privacy policy</a></p><p>All rights reserved.</p></footer></body></html>'
    )


_STEPS = (
    "Soak the peas overnight in cold water, and change the water once before you go to bed.",
    "Fry the onions slowly in the lamp fat until they are brown, which takes half an hour and cannot be hurried.",
    "Add the peas with twice their weight of water, and let the pot stand at the edge of the stove for two hours.",
)
_BOARD = (
    (
        "lotte",
        "9",
        "The old gauge at our mole has rings and no numbers. How do I know how much water there is over the bar when I"
        " come in at night?",
    ),
    (
        "peer31",
        "2204",
        "<blockquote>The old gauge at our mole has rings and no numbers.</blockquote>Count the rings on the post: each"
        " is a hand above the one below, and the lowest is dry at low water.",
    ),
    (
        "ada",
        "117",
        "The harbour office sells a card with the depth over the bar for every ring, which is all you need.",
    ),
)
_REVIEWS = (
    ("Henrike", "It kept pointing north through a week of fog, and the lid closes with a click that you can feel."),
    ("Jon", "Heavier than I thought, but the card swings freely even when the boat lies on her side in a gust."),
)
_EVENTS = (
    (
        "14 March",
        "Knots for beginners",
        "Bring a length of rope as thick as your thumb; the harbour master has spares.",
    ),
    ("21 March", "Night walk along the mole", "With lanterns, from the chapel to the light and back, in any weather."),
    (
        "28 March",
        "Blessing of the boats",
        "The boats leave the inner harbour at nine, and the band plays from the quay.",
    ),
    ("4 April", "Market of old gear", "Tables are free for members, and whatever is left at dusk goes to the museum."),
)
_PLANS = (
    ("Mooring by the day", "$12", "A place at the outer quay, with water, for boats of up to nine metres."),
    ("Mooring by the season", "$640", "The same place from April to October, with power and a locked gate."),
    ("Winter on land", "$480", "We lift, wash and cover your boat, and look after the battery until spring."),
)
_FEW_GOODS = (("Oak tiller", "$85"), ("Bronze cleat", "$18"), ("Hemp fender", "$32"))

BLOG = PageOfKind(
    "article",
    "https://marrowhead.example/blog/pea-soup-for-a-long-winter/",
    _site(
        "Pea soup for a long winter",
        '<div class="left"><h1>Pea soup for a long winter</h1><p class="meta">By Ulla Brandt on 3 February 2026 in '
        '<a href="/c/kitchen">Kitchen</a></p><p>When the ferries lay still this winter, everyone on the island lived on'
        " what was in the cellar, and that was peas. My grandmother cooked this soup in every hard year that she"
        " remembered, and she remembered most of them.</p><h2>What you need</h2><ul><li>500 g dried yellow peas</li>"
        "<li>3 onions</li><li>2 spoons of fat</li></ul><h2>How it is done</h2><ol>"
        + "".join(f"<li>{step}</li>" for step in _STEPS)
        + "</ol><blockquote><p>A soup that is hurried tastes of the pot.</p></blockquote><p>It keeps for four days in a"
        ' cold room, and is better on the second.</p><p>Tags: <a href="/t/soup">soup</a> <a href="/t/winter">winter</a>'
        '</p><div class="share"><a href="#">Share</a> <a href="#">Print</a></div></div><div class="right">'
        '<h3>Recent letters</h3><ul><li><a href="/1">A lamp in every window</a></li><li><a href="/2">Who mends the nets'
        '</a></li><li><a href="/3">Ice on the sound</a></li></ul><h3>Newsletter</h3><p>Get our letters every Sunday.'
        "</p></div>",
        '<meta name="generator" content="WordPress 6.4"><meta property="og:type" content="article">',
    ),
    ("everyone on the island lived on what was in the cellar", "500 g dried yellow peas", *_STEPS),
    ("Who mends the nets", "Get our letters every Sunday"),
)
REFERENCE = PageOfKind(
    "documentation",
    "https://tides.marrowhead.example/docs/api/gauges",
    _site(
        "gauges: API reference",
        '<div class="menu"><p>API</p><ul>'
        + "".join(f'<li><a href="/docs/api/{name}">{name}</a></li>' for name in ("buoys", "gauges", "lights", "pilots"))
        + '</ul></div><div class="content"><h1>gauges</h1><p>Returns the gauges of a harbour, sorted by their distance'
        ' from the bar.</p><pre><code class="language-http">GET /v1/harbours/{harbour}/gauges?depth=2.5</code></pre>'
        "<h2>Parameters</h2><table><thead><tr><th>Name</th><th>Type</th><th>Meaning</th></tr></thead><tbody>"
        "<tr><td>harbour</td><td>string</td><td>Code of the harbour, as the register has it</td></tr>"
        "<tr><td>depth</td><td>number</td><td>Least depth at low water, in metres</td></tr></tbody></table>"
        '<h2>Answer</h2><pre><code class="language-json">{\n  "gauges": [\n    {"number": 7, "depth": 2.8}\n  ]\n}'
        "</code></pre><p>A harbour that is not in the register is answered with status 404.</p><p><a "
        'href="/docs/api/buoys">Previous</a> <a href="/docs/api/lights">Next</a></p></div>',
        '<meta name="generator" content="Docusaurus v3">',
    ),
    (
        "sorted by their distance from the bar",
        "GET /v1/harbours/{harbour}/gauges",
        "Least depth at low water",
        '"depth"',
    ),
    ("pilots",),
)
BOARD = PageOfKind(
    "forum",
    "https://board.marrowhead.example/viewtopic.php?f=4&t=417",
    _site(
        "How to read a gauge without numbers?",
        "<h2>How to read a gauge without numbers?</h2><p><a href='/reply'>Post a reply</a> 3 posts, page 1 of 1</p>"
        + "".join(
            f"<div class='post'><dl class='postprofile'><dt><a href='/u/{name}'>{name}</a></dt><dd>Posts: {posts}</dd>"
            f"</dl><div class='postbody'><h3>Re: How to read a gauge</h3><div class='content'>{text}</div></div></div>"
            for name, posts, text in _BOARD
        )
        + "<p>Jump to: <a href='/f/1'>Boats</a> <a href='/f/2'>Weather</a> <a href='/f/3'>For sale</a></p>",
    ),
    (
        "has rings and no numbers",
        "Count the rings on the post",
        "a card with the depth over the bar for every ring",
    ),
    ("For sale",),
)
REVIEWED = PageOfKind(
    "product",
    "https://gear.marrowhead.example/p/brass-compass-88",
    _site(
        "Brass compass 88",
        '<p><a href="/">Home</a> / <a href="/navigation">Navigation</a></p><h1>Brass compass 88</h1><p>$129.00</p>'
        "<p>In stock, leaves the quay tomorrow</p><button>Add to basket</button><h2>Description</h2><p>A compass in a"
        " brass box, filled with oil, with a card of 88 millimetres that can be read from across the cabin. It hangs in"
        " two rings, so that it stays level in any sea.</p><h2>Details</h2><table><tr><th>Card</th><td>88 mm</td></tr>"
        "<tr><th>Weight</th><td>1.9 kg</td></tr><tr><th>Light</th><td>red, 12 V</td></tr></table><h2>Reviews</h2>"
        + "".join(f"<div><b>{name}</b> <span>5 of 5</span><p>{text}</p></div>" for name, text in _REVIEWS)
        + '<h2>Others bought</h2><ul><li><a href="/p/1">Oak box for compasses</a> $40.00</li><li><a href="/p/2">Spare'
        " card</a> $12.00</li></ul>",
        '<meta property="og:type" content="product"><script type="application/ld+json">'
        '{"@context": "https://schema.org", "@type": "Product"}</script>',
    ),
    ("A compass in a brass box, filled with oil", "1.9 kg"),
    ("Spare card",),
)
FEW_GOODS = PageOfKind(
    "collection",
    "https://gear.marrowhead.example/collections/by-hand",
    _site(
        "Made by hand",
        "<h1>Made by hand</h1><p>Three things that the workshop on the mole still makes by hand, one at a time, from"
        " oak and bronze and hemp.</p><div class='grid'>"
        + "".join(
            f"<div class='item'><img src='/{n}.jpg' alt=''><h3><a href='/p/{n}'>{name}</a></h3><p>{price}</p></div>"
            for n, (name, price) in enumerate(_FEW_GOODS)
        )
        + "</div>",
        '<meta name="generator" content="WooCommerce">',
    ),
    ("Three things that the workshop on the mole still makes by hand",),
)
EVENTS = PageOfKind(
    "listing",
    "https://marrowhead.example/events/?month=3",
    _site(
        "What is on in March",
        "<h1>What is on in March</h1>"
        + "".join(
            f"<div class='event'><span>{date}</span><h2><a href='/e/{n}'>{name}</a></h2><p>{text}</p><a href='/e/{n}'>"
            "Read more</a></div>"
            for n, (date, name, text) in enumerate(_EVENTS)
        )
        + '<p><a href="?month=2">Earlier</a> <a href="?month=4">Later</a></p>',
        '<script type="application/ld+json">{"@context": "https://schema.org", "@type": "CollectionPage"}</script>',
    ),
    tuple(text for _, _, text in _EVENTS),
)
PLANS = PageOfKind(
    "service",
    "https://www.marrowhead-marina.example/moorings",
    _site(
        "Moorings and winter storage",
        '<div class="hero"><h1>A safe place for your boat</h1><p>The marina lies behind two moles, ten minutes on foot'
        ' from the station, and is open at every state of the tide.</p><a href="/book">Book now</a></div>'
        + "".join(f"<div class='plan'><h3>{name}</h3><p>{price}</p><p>{text}</p></div>" for name, price, text in _PLANS)
        + "<div class='quote'><p>We have left our boat here for eleven winters and never lost a fender.</p><p>Ada and"
        " Tom, yacht Petrel</p></div><h2>How to reach us</h2><p>The office on the inner quay is open from eight to six,"
        " and the watchman answers channel 12 by night.</p>",
        '<meta property="og:type" content="website"><script type="application/ld+json">'
        '{"@context": "https://schema.org", "@type": "LocalBusiness"}</script>',
    ),
    ("The marina lies behind two moles", *(text for _, _, text in _PLANS), "the watchman answers channel 12"),
)
MORE_PAGES_OF_KINDS = (BLOG, REFERENCE, BOARD, REVIEWED, FEW_GOODS, EVENTS, PLANS)
