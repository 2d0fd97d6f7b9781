"""The main text of a page's HTML: by our own choice of its runs, by trafilatura or by resiliparse.

Notable:
- `auto` decides run by run (`tasks.extract.content`). An article of which that has a low score is tried a second time,
  by trafilatura with its precision setting.
- Never trafilatura's `deduplicate`: it remembers segments for the whole process, so that a page's text would depend
  on the pages before it (trafilatura issue 778). What FineWeb lost to it cannot be reproduced.
- The page is parsed here, so that the tree can be measured before the extractor walks it. The parser finds its element
  class in C instead of by lxml.html's lookup in Python: the same text, and the time saved pays for the measuring.
- Trafilatura's searches of the tree are answered by `tasks.extract.fast_trafilatura`: the same text in 0.6 of the time.
- Limits keep hostile pages from the extractor, whose XPath expressions take seconds on one giant attribute. Nesting
  needs no limit of ours: libxml2 drops elements nested deeper than 256.
- Resiliparse, the choice of DCLM, takes a quarter of trafilatura's time. Word-4-gram F1 on 336 gold texts: 0.852, with
  texts for images or comments 0.82 and 0.835; trafilatura 0.898.
"""

import logging
import re
from dataclasses import dataclass
from functools import cache

from lxml import etree
from lxml import html as lxml_html
from resiliparse.extract.html2text import extract_plain_text
from trafilatura import bare_extraction

from tasks.base.normalization import normalize
from tasks.extract.config import EXTRACTORS, ExtractionConfig
from tasks.extract.content.page_content import page_content, page_facts
from tasks.extract.content.text_runs import read_runs
from tasks.extract.fast_trafilatura import fast_searches
from tasks.extract.html.deep_nesting import flatten
from tasks.extract.html.limits import HtmlTooLargeError, check_markup
from tasks.extract.html.noscript import show_noscript
from tasks.extract.html.preparation import Prepared, prepare
from tasks.extract.html.tables import lays_out, make_boxes
from tasks.extract.rendering.blocks import Block, Paragraph, Span
from tasks.extract.rendering.code_at_the_margin import with_code_at_the_margin
from tasks.extract.rendering.markdown import markdown
from tasks.extract.rendering.marks import Marks, without_marks
from tasks.extract.rendering.page_blocks import read_blocks
from tasks.extract.rendering.plain_text import plain_text
from tasks.extract.rendering.typed_lists import with_typed_lists
from tasks.own_code.named_code import load

# Control characters that no XML tree may hold, and surrogates that UTF-8 cannot.
_INVALID_CHARACTERS = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_LONG_ATTRIBUTES = etree.XPath("//*[@*[string-length() > $limit]]")
_COUNT_ELEMENTS = etree.XPath("count(//*)")
_SELF_CLOSED_HTML = re.compile(r"(<html\b[^>]{0,1000}?)\s*/>", re.IGNORECASE)
_HEAD_CHARACTERS = 4096
_UNSURE = 0.8
"""Score of an article below which a second way is tried."""


@dataclass(frozen=True, slots=True)
class MainText:
    """A page's main text, and how it was found."""

    text: str
    """"" where there is none."""
    method: str
    """What chose it: `runs`, one of the other `EXTRACTORS`, or `own`: the recipe's own code."""
    kind: str | None = None
    """A `PageKind`, where the method tells kinds apart."""
    score: float | None = None
    """The expected F1 of the words that were first chosen, 0 to 1; of `auto` only."""


def main_text(tree: lxml_html.HtmlElement, html: str, url: str, config: ExtractionConfig) -> MainText:
    """Return the main text of the page that `parse_page` parsed into `tree`.

    Changes `tree`. Raises whatever the extractor raises.
    """
    if config.extractor == "auto":
        title, declared = page_facts(tree)
        return _by_runs(tree, html, url, config, title, declared)
    if config.extractor not in EXTRACTORS:
        return MainText(normalize("NFC", str(load(config.extractor)(html, url) or "")), "own")
    prepared = prepare(tree, html, layout_tables=not config.fast)
    marks = Marks(tree, html)
    text = _marked_text(tree, url, config, config.extractor)
    return MainText(_written(tree, marks, marks.chosen_in(text), prepared, text, config), config.extractor)


def prepare_for_runs(tree: lxml_html.HtmlElement, html: str) -> Prepared:
    """Prepare a page's tree for `auto`."""
    show_noscript(tree)
    return prepare(tree, html, layout_tables=False)


def _by_runs(
    tree: lxml_html.HtmlElement, html: str, url: str, config: ExtractionConfig, title: str, declared: str
) -> MainText:
    prepared = prepare_for_runs(tree, html)
    runs = read_runs(tree)
    for table in filter(lays_out, list(tree.iter("table"))):
        make_boxes(table)
    marks = Marks(tree, html)
    if not runs.texts or not marks.places:
        return MainText(
            _written(tree, marks, set(), prepared, _marked_text(tree, url, config, "balanced"), config), "balanced"
        )
    content = page_content(runs, url, title, declared)
    kind, score = content.kind, content.choice.score
    if score < _UNSURE and kind == "article":
        method, text = "precision", _marked_text(tree, url, config, "precision")
        chosen = marks.chosen_in(text)
    else:
        method, text = "runs", ""
        kept = runs.pieces_of(content.choice.is_kept)
        chosen = {number for number, place in enumerate(marks.places) if place in kept}
    return MainText(_written(tree, marks, chosen, prepared, text, config), method, kind, score)


def _written(
    tree: lxml_html.HtmlElement, marks: Marks, chosen: set[int], prepared: Prepared, text: str, config: ExtractionConfig
) -> str:
    """Return the chosen runs of a marked tree as text or Markdown; `text` where nothing is chosen."""
    blocks = read_blocks(tree, marks, chosen, prepared) or _paragraphs(without_marks(text))
    if config.format == "markdown":
        return normalize("NFC", markdown(with_code_at_the_margin(with_typed_lists(blocks))))
    return normalize("NFC", plain_text(blocks, config.blank_lines or config.extractor == "resiliparse"))


def _marked_text(tree: lxml_html.HtmlElement, url: str, config: ExtractionConfig, method: str) -> str:
    """Return what an extractor chooses of a marked page. Trafilatura takes a copy of its tree."""
    if method == "resiliparse":
        html = etree.tostring(tree, encoding="unicode", method="html")
        return extract_plain_text(html, main_content=True, alt_texts=False, comments=False)
    options = {
        "url": url,
        "favor_precision": method == "precision",
        "include_comments": False,
        "include_tables": config.tables,
        "fast": config.fast,
        "deduplicate": False,
        "output_format": "txt",
    }
    with fast_searches():
        document = bare_extraction(tree, **options)
    return "" if document is None else "\n".join(document.body.itertext())


def _paragraphs(text: str) -> list[Block]:
    """Return the paragraphs of a text that stands nowhere in the page's tree, such as one in its JSON-LD."""
    lines = (line.strip() for line in text.split("\n"))
    return [Paragraph((Span("text", line),)) for line in lines if line]


def parse_page(html: str, config: ExtractionConfig) -> lxml_html.HtmlElement | None:
    """Return the tree of a page's HTML; None where there is nothing to parse.

    Raises `HtmlTooLargeError` for a page over the limits.
    """
    if len(html) > config.max_html_chars:
        raise HtmlTooLargeError(f"the HTML has {len(html)} characters, over {config.max_html_chars}")
    cleaned = _INVALID_CHARACTERS.sub("", html)
    # libxml2 takes a self-closed <html/> literally and drops the page.
    head = _SELF_CLOSED_HTML.sub(r"\1>", cleaned[:_HEAD_CHARACTERS], count=1)
    cleaned = head + cleaned[_HEAD_CHARACTERS:]
    markup, parser = cleaned.encode(), _parser()
    try:
        check_markup(markup, config.max_elements)
        tree = etree.fromstring(markup, parser)
        if (error := parser.error_log.last_error) is not None and error.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT:
            tree = etree.fromstring(flatten(cleaned).encode(), _parser(huge_tree=True))
    except etree.ParserError:
        return None
    if tree is None:
        return None
    n_elements = int(_COUNT_ELEMENTS(tree))
    if n_elements > config.max_elements:
        raise HtmlTooLargeError(f"the page has {n_elements} elements, over {config.max_elements}")
    if len(html) > config.max_attribute_chars:
        _drop_long_attributes(tree, config.max_attribute_chars)
    return tree


def _drop_long_attributes(tree: lxml_html.HtmlElement, limit: int) -> None:
    for element in _LONG_ATTRIBUTES(tree, limit=limit):
        for name, value in element.attrib.items():
            if len(value) > limit:
                del element.attrib[name]


@cache
def _parser(huge_tree: bool = False) -> etree.HTMLParser:
    """Return the parser, made on first use; silences trafilatura, whose messages repeat our decisions."""
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    parser = etree.HTMLParser(
        collect_ids=False,
        default_doctype=False,
        encoding="utf-8",
        remove_comments=True,
        remove_pis=True,
        huge_tree=huge_tree,
    )
    parser.set_element_class_lookup(
        etree.ElementDefaultClassLookup(
            element=lxml_html.HtmlElement,
            comment=lxml_html.HtmlComment,
            pi=lxml_html.HtmlProcessingInstruction,
            entity=lxml_html.HtmlEntity,
        )
    )
    return parser
