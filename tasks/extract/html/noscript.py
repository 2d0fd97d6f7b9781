"""Show what a page holds in `noscript`, where that is the page's text.

Notable: forums such as Discourse send their posts so, for crawlers and whoever else runs no scripts. Elsewhere
`noscript` repeats an image, asks for scripts, or holds a banner.
"""

from lxml import etree

_N_CHARS = etree.XPath("string-length(normalize-space())")
_SEEN_TEXTS = etree.XPath("//body//text()[not(ancestor::noscript or parent::script or parent::style)]")
_MIN_CHARS = 300


def show_noscript(tree: etree._Element) -> None:
    """Make boxes of a page's noscript elements if they hold more text than the rest of the page."""
    found = [(element, _N_CHARS(element)) for element in tree.iter("noscript")]
    hidden = sum(n_chars for _, n_chars in found)
    if hidden >= _MIN_CHARS and hidden >= sum(len(text.strip()) for text in _SEEN_TEXTS(tree)):
        for element, _ in found:
            element.tag = "div"
