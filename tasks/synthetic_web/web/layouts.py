"""HTML around the text: six kinds of sites with menus, banners, sidebars, scripts, comments and footers.

Notable: nothing around the text is part of a page's main text, visitors' comments included. Its words are the same in
all languages, as on many real sites.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from string import Template

from tasks.synthetic_web.texts.draws import Draws
from tasks.synthetic_web.texts.sentences import filler

_HEAD = """<!DOCTYPE html>
<html lang="$lang">
<head>
$meta<title>$title | $site</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/static/$layout.css">
<style>body{margin:0;font-family:sans-serif}.menu a{padding:4px 8px}.box{border:1px solid #ccc}</style>
<script>window.dataLayer=window.dataLayer||[];
function track(e){dataLayer.push({event:e,page:"$slug"})}track("view");</script>
</head>
"""

_BODIES: dict[str, str] = {
    "blog": """<body class="blog">
<header><a class="logo" href="/">$site</a><nav class="menu"><ul>$menu</ul></nav></header>
<div id="cookie-banner" class="cookie-banner">We use cookies to make this site better. <button>Accept all</button></div>
<main>
<article class="post">
<h1>$title</h1>
<p class="meta byline">Posted on $date by $author</p>
<div class="entry-content">
$body
</div>
</article>
<section id="comments" class="comments"><h3>Comments</h3>
<ol class="comment-list">$comments</ol></section>
</main>
<aside class="sidebar"><h3>Recent posts</h3><ul>$related</ul></aside>
<footer class="footer">Copyright $site. All rights reserved. <a href="/privacy">Privacy policy</a></footer>
</body>
</html>
""",
    "news": """<body>
<div class="cookie-consent" role="dialog">This website uses cookies. <a href="/cookies">Cookie policy</a></div>
<header class="site-header"><div class="brand">$site</div><nav><ul>$menu</ul></nav></header>
<div class="breadcrumb"><a href="/">Home</a> &gt; <a href="/towns">Towns</a></div>
<main id="main">
<article itemscope itemtype="https://schema.org/NewsArticle">
<h1 itemprop="headline">$title</h1>
<div class="byline"><span class="author">$author</span> <time datetime="$date">$date</time></div>
<div class="article-body" itemprop="articleBody">
$body
</div>
<div class="share-buttons"><a href="/share/mail">Share</a> <a href="/share/print">Print</a></div>
</article>
</main>
<aside class="related"><h2>Related articles</h2><ul>$related</ul></aside>
<div class="newsletter">Sign up for our newsletter <form action="/newsletter"><input name="mail"></form></div>
<footer><ul>$menu</ul><p>$site, all rights reserved.</p></footer>
</body>
</html>
""",
    "encyclopedia": """<body>
<div id="navigation" class="nav-side"><ul>$menu</ul></div>
<div id="content" class="page-content" role="main">
<h1 id="firstHeading">$title</h1>
<div id="bodyContent" class="body-content">
$body
</div>
</div>
<div id="catlinks" class="catlinks">Categories: <a href="/category/towns">Towns</a></div>
<div id="footer" class="footer"><ul><li>This page was last edited on $date.</li>
<li><a href="/about">About $site</a></li></ul></div>
</body>
</html>
""",
    "forum": """<body class="forum">
<nav class="navbar"><a href="/">$site</a><ul>$menu</ul></nav>
<div class="login-box">Log in to post <form action="/login"><input name="user"><input name="password"></form></div>
<main class="thread">
<h1 class="thread-title">$title</h1>
<article class="post first-post">
<aside class="user-info sidebar">$author, member since $date</aside>
<div class="post-body">
$body
</div>
</article>
</main>
<div id="comments" class="comments replies"><h4>Replies</h4><ul>$comments</ul></div>
<div class="pagination"><a href="?page=1">1</a> <a href="?page=2">2</a> <a href="?page=3">3</a></div>
<footer>$site runs on goodwill.</footer>
</body>
</html>
""",
    "shop": """<body class="shop">
<header><a href="/">$site</a>
<form class="search"><input name="q"></form><a class="cart" href="/cart">Cart (0)</a></header>
<nav class="menu"><ul>$menu</ul></nav>
<main>
<div class="page">
<h1>$title</h1>
<div class="content description">
$body
</div>
</div>
</main>
<aside class="sidebar offers"><h3>Our offers</h3><ul>$related</ul></aside>
<div class="modal popup" style="display:none">Get ten percent off your first order!</div>
<footer class="footer"><ul><li><a href="/terms">Terms of use</a></li>
<li><a href="/returns">Returns</a></li></ul></footer>
<script>document.querySelectorAll(".cart").forEach(function(c){c.onclick=function(){track("cart")}});</script>
</body>
</html>
""",
    "plain": """<body bgcolor="white">
<table width="100%" class="navigation"><tr><td><a href="/">$site</a></td>
<td><a href="/next">Next page</a></td></tr></table>
<div class="text">
<h1>$title</h1>
$body
</div>
<hr>
<div class="footer"><small>$site, $date. <a href="/imprint">Imprint</a></small></div>
</body>
</html>
""",
}

LAYOUTS: tuple[str, ...] = tuple(_BODIES)
"""The kinds of sites."""

_MENU = ("Home", "Towns", "Travel", "Food", "Culture", "Market", "Weather", "Contact", "About us", "Archive")
_RELATED = ("Ten walks for the weekend", "Our favourite inns", "How to find a good bakery", "Old bridges and mills",
            "What to do when it rains", "A guide to the coast", "Where the locals eat")  # fmt: skip
_AUTHORS = ("Anna K.", "The editors", "Peter M.", "guest author", "Tom", "wanderer", "Lena S.", "J. Miller")


@dataclass(frozen=True)
class Site:
    """A web site of the invented country."""

    host: str
    name: str
    layout: str
    """One of `LAYOUTS`."""


def render(site: Site, slug: str, title: str, body_html: str, language: str, meta: str, draws: Draws) -> str:
    """Return the whole HTML page; `meta` is the line that declares the charset, or empty."""
    year, month, day = draws.between(2014, 2026), draws.between(1, 12), draws.between(1, 28)
    menu = draws.sample(_MENU, draws.between(5, 8))
    fields = {
        "lang": language,
        "meta": meta,
        "layout": site.layout,
        "slug": slug,
        "title": escape(title, quote=False),
        "site": escape(site.name, quote=False),
        "body": body_html,
        "menu": "".join(f'<li><a href="/{item.lower().replace(" ", "-")}">{item}</a></li>' for item in menu),
        "related": "".join(f'<li><a href="/post/{draws.below(900)}">{r}</a></li>' for r in draws.sample(_RELATED, 4)),
        "comments": _comments(draws),
        "date": f"{year}-{month:02d}-{day:02d}",
        "author": draws.choose(_AUTHORS),
    }
    return Template(_HEAD + _BODIES[site.layout]).substitute(fields)


def _comments(draws: Draws) -> str:
    return "\n".join(
        f'<li class="comment"><div class="comment-body"><b>{draws.choose(_AUTHORS)}</b> {filler(draws)}</div></li>'
        for _ in range(draws.between(1, 3))
    )
