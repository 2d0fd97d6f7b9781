"""What tells a page's kind: its address, what it declares of itself, its software, and how its text is marked up.

Notable: all of it is said by the page, unchecked, and only weighed by the model. Shares of the text by tag and class
come from the runs that are measured anyway.
"""

import re
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt
from lxml import etree

from tasks.extract.content.class_words import CLASS_PATTERNS, ROLES
from tasks.extract.content.text_runs import TAGS

_DECLARED: Final = {
    "type article": r"\b(?:News|Blog)?(?:Article|Posting)\b|\barticle\b",
    "type product": r"\bproduct\b",
    "type forum": r"DiscussionForumPosting|QAPage|\bQuestion\b",
    "type collection": r"CollectionPage|ItemList|product\.group",
    "type documentation": r"TechArticle|APIReference|HowTo",
    "type service": r"\bService\b|LocalBusiness|Organization|\bFAQPage\b",
    "type website": r"\bwebsite\b",
    "by forum": r"Discourse|phpBB|XenForo|vBulletin|Invision|MyBB|Flarum|NodeBB|SMF|vanilla",
    "by shop": r"Shopify|WooCommerce|Magento|BigCommerce|PrestaShop|Squarespace",
    "by documentation": r"Sphinx|Docusaurus|MkDocs|GitBook|VuePress|VitePress|Doxygen|Jekyll|Hugo|ReadMe|Javadoc",
    "by wiki": r"MediaWiki|DokuWiki|Confluence",
    "by WordPress": r"WordPress",
}
"""Patterns in the types that a page declares (schema.org, OpenGraph) and in its generator."""
_ADDRESS: Final = {
    "at forum": r"forum|thread|topic|discuss|communit|/t/|viewtopic|board|question",
    "at product": r"product|/p/|/dp/|/item|/pdp|sku|/shop/",
    "at collection": r"collection|categor|/c/|/shop|/cat/|/browse|/t/|srsltid",
    "at documentation": r"docs?[./]|/doc|guide|manual|reference|tutorial|/api|wiki|learn|/help",
    "at article": r"blog|news|article|/20\d\d/|story|post",
    "at listing": r"search|list|director|jobs|event|tag|archive|top|best|\?q=|find|browse|results",
    "at service": r"service|solution|insurance|about|pricing|software|consult|care|compan",
}
_PATTERNS: Final = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in (_DECLARED | _ADDRESS).items()}
_JSON_TYPE: Final = re.compile(r"\"@type\"\s{0,20}:\s{0,20}\[?\s{0,20}\"([A-Za-z]{3,40})\"")
_MOST_SCRIPTS, _MOST_TYPES = 20, 50
_MOST_CHARS = 200_000
_SHARED_TAGS: Final = ("p", "li", "td", "h1", "h2", "h3", "div", "pre", "dd", "dt")

Features = dict[str, float]


def declared_types(tree: etree._Element) -> str:
    """Return the types of schema.org and OpenGraph and the generator that a page names, on a line."""
    found: list[str] = []
    for element in islice(tree.iter("meta", "script", "body"), 500):
        if element.tag == "meta":
            if element.get("property") == "og:type" or (element.get("name") or "").lower() == "generator":
                found.append((element.get("content") or "")[:100])
        elif element.tag == "body":
            found.append((element.get("itemtype") or "").rpartition("/")[2][:40])
        elif element.get("type") == "application/ld+json" and len(found) < _MOST_SCRIPTS:
            found += islice(_JSON_TYPE.findall((element.text or "")[:_MOST_CHARS]), _MOST_TYPES)
    return " ".join(found)


def page_features(url: str, declared: str, runs: dict[str, npt.NDArray[np.float32]]) -> Features:
    """Return the features of a page from its address, what it declares and those of its runs."""
    address = url.partition("://")[2][:500]
    words = runs["words"].astype(np.float64)
    total = max(float(words.sum()), 1.0)
    found: Features = {name: float(_PATTERNS[name].search(declared) is not None) for name in _DECLARED}
    found |= {name: float(_PATTERNS[name].search(address) is not None) for name in _ADDRESS}
    found["path_depth"] = float(address.rstrip("/").count("/"))
    for name in ("page_words", "page_runs", "page_boxes", "page_links", "page_closed", "page_long", "page_prices"):
        found[name] = float(runs[name][0])
    for name in ("page_dates", "prose_share", "prose_core_share", "prose_core_dense"):
        found[name] = float(runs[name][0])
    prose = words * runs["prose"]
    for name in ("price", "date", "links", "digits"):
        found[f"prose {name}"] = float((prose * runs[name]).sum() / max(float(prose.sum()), 1.0))
    for tag in _SHARED_TAGS:
        found[f"share {tag}"] = float(words[runs["tag"] == TAGS[tag]].sum() / total)
    for name in (*(f"class {pattern}" for pattern in CLASS_PATTERNS), *(f"in {role}" for role in ROLES)):
        found[f"share {name}"] = float((words * runs[name]).sum() / total)
    for least in (3, 10):
        repeated = np.max([runs[f"repeated{level}"] for level in range(5)], axis=0)
        found[f"repeated {least}"] = float(words[repeated >= least].sum() / total)
    return found
