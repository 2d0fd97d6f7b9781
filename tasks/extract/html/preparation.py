"""Prepare a page's tree so that the extractor keeps what a reader sees, and only that.

Notable: each change prevents one kind of fault of trafilatura: text that no reader sees (templates, hidden elements);
formulas, exponents and quotation marks that it loses; spaces between Chinese or Japanese characters; lists that its
rules drop; tables that lay out a page. Characters that it removes although they are spelling, such as the zero-width
joiners of Persian and of emoji, go through it as letters of a dead script.
"""

import re

from lxml import etree

from tasks.extract.html.cjk_breaks import drop_breaks_between_cjk, has_break_between_cjk, set_text
from tasks.extract.html.formulas import replace_by_text, write_formulas
from tasks.extract.html.indexes import write_indexes
from tasks.extract.html.quotation_marks import write_quotation_marks

# What is not printable to Python but spelling: zero-width joiners, Mongolian's separator, the sign around the numbers
# of the Koran's verses, and the tags of flags.
_JOINERS = "\u200c\u200d\u180e\u06dd" + "".join(map(chr, range(0xE0020, 0xE0080)))
_STAND_INS = "".join(chr(0x18B00 + place) for place in range(len(_JOINERS)))  # the Khitan small script
_TO_STAND_INS = str.maketrans(_JOINERS, _STAND_INS)
_FROM_STAND_INS = str.maketrans(_STAND_INS, _JOINERS)
_JOINER_SIGNS = _JOINERS[:4] + "\U000e007f"
"""Of the joiners, those of which every text with any has one: the tags of a flag end in the last."""
_TEXT = etree.XPath("string()", smart_strings=False)
_N_CHARS = etree.XPath("string-length()")
_TEXTS_WITH = etree.XPath("//text()[contains(., $sign)]")
_CHANGED_TAGS = ("template", "script", "math", "img", "sup", "sub", "q", "table", "ul", "ol", "dl")
# References to joiners, and to characters from the radicals of Chinese on.
_REFERENCES = re.compile(
    r"&(?:zw|#(?:820[45]|9176|1[2-9]\d{3}|[2-6]\d{4}|[xX](?:200|[eE]00|2[eEfF]|[3-9a-fA-F]\w{3})))"
)
_FORMULA_CLASS = re.compile(r"\b(?:mwe-math|latex\b)")
_RAISED = etree.XPath("//span[contains(@style, 'vertical-align')]")
_SUPER_OR_SUB = re.compile(r"vertical-align\s*:\s*(super|sub)\b", re.IGNORECASE)
_HIDDEN = etree.XPath("descendant::body/descendant::*[@hidden]")
_MOST_CELL_CHARS = 500
"""Characters of a cell of data; a longer one is a page's text."""
_MIN_ANNOUNCEMENT_CHARS = 20
_MIN_LOOSE_WORDS = 3
_HEADINGS_AND_TEXT = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "ul", "ol", "dl"))


def prepare(tree: etree._Element, html: str, layout_tables: bool = True) -> bool:
    """Change a page's tree, of which `html` is the source, for the extractor.

    Returns whether the extracted text needs `restore`. Without `layout_tables` these stay tables: among the boxes that
    they become, trafilatura's own search can choose wrongly, and only its comparison with a second extractor mends it.
    """
    found: dict[str, list[etree._Element]] = {tag: [] for tag in _CHANGED_TAGS}
    for element in tree.iter(*_CHANGED_TAGS):
        found[element.tag].append(element)
    _drop_unseen(tree, found["template"], html)
    images = [image for image in found["img"] if _FORMULA_CLASS.search(image.get("class") or "")]
    write_formulas(found["script"], found["math"], images)
    write_indexes([*found["sup"], *found["sub"], *_raised_by_style(tree, html)])
    write_quotation_marks(found["q"])
    for table in found["table"] if layout_tables else ():
        if _lays_out(table):
            _make_boxes(table)
    _lists_in_cells_become_paragraphs(found["table"])
    _keep_lists([*found["ul"], *found["ol"], *found["dl"]])
    if html.isascii() and not _REFERENCES.search(html):
        return False
    text = _TEXT(tree)
    if has_break_between_cjk(text):
        drop_breaks_between_cjk(tree)
    signs = [sign for sign in _JOINER_SIGNS if sign in text]
    if not signs or any(letter in text for letter in _STAND_INS):
        return False
    for sign in signs:
        for joined in _TEXTS_WITH(tree, sign=sign):
            set_text(joined, joined.translate(_TO_STAND_INS))
    return True


def restore(text: str) -> str:
    """Put back the characters that went through the extractor as others."""
    return text.translate(_FROM_STAND_INS)


def _raised_by_style(tree: etree._Element, html: str) -> list[etree._Element]:
    """Return the spans that their style raises or lowers, as sup and sub."""
    raised = []
    for span in _RAISED(tree) if "vertical-align:s" in html or "vertical-align: s" in html else ():
        if style := _SUPER_OR_SUB.search(span.get("style")):
            span.tag = "sup" if style[1].lower() == "super" else "sub"
            raised.append(span)
    return raised


def _drop_unseen(tree: etree._Element, templates: list[etree._Element], html: str) -> None:
    hidden = []
    if "hidden" in html:
        hidden = [element for element in _HIDDEN(tree) if element.get("hidden") != "until-found"]
    # A page of which most is hidden is one that a script shows.
    if hidden and 2 * sum(map(_N_CHARS, hidden)) >= _N_CHARS(tree):
        hidden = []
    for element in (*templates, *hidden):
        replace_by_text(element, "")


def _lays_out(table: etree._Element) -> bool:
    """Return whether a table serves the page's layout, not data."""
    if next(table.iterdescendants("table"), None) is not None:
        return True
    if next(table.iterdescendants("th", "caption"), None) is not None:
        return False
    cells = list(table.iterdescendants("td"))
    if len(cells) <= 1:
        return True
    return any(_N_CHARS(cell) > _MOST_CELL_CHARS for cell in cells)


def _make_boxes(table: etree._Element) -> None:
    """Make boxes of a table's own cells."""
    for part in list(table):
        rows = list(part) if part.tag in ("tbody", "thead", "tfoot") else [part]
        for row in rows:
            if row.tag == "tr":
                for cell in row:
                    if cell.tag in ("td", "th"):
                        cell.tag = "div"
                row.tag = "div"
        if part.tag in ("tbody", "thead", "tfoot", "caption"):
            part.tag = "div"
    table.tag = "div"


def _lists_in_cells_become_paragraphs(tables: list[etree._Element]) -> None:
    """Make paragraphs of the items of lists in cells, which the extractor empties."""
    for table in tables:
        if table.tag != "table":
            continue
        for found in list(table.iterdescendants("ul", "ol", "dl")):
            for item in found:
                if item.tag in ("li", "dt", "dd"):
                    item.tag = "p"
            if found.getparent().tag in ("td", "th"):
                found.drop_tag()  # paragraphs directly in a cell stay even if they are links
            else:
                found.tag = "div"


def _keep_lists(lists: list[etree._Element]) -> None:
    """Protect the lists that belong to the text around them from the rules against lists of links."""
    for found in lists:
        parent = found.getparent()
        if parent is None:
            continue
        announcement = _text_before(found)
        is_announced = len(announcement) >= _MIN_ANNOUNCEMENT_CHARS and announcement.endswith((":", "："))
        if is_announced or _has_links_in_text(found):
            etree.strip_tags(found, "a")
        previous = found.getprevious()
        if (
            previous is not None
            and previous.tag in _HEADINGS_AND_TEXT
            and parent.find("p") is not None
            and _is_in_plain_boxes(found)
        ):
            _items_become_paragraphs(found)


def _has_links_in_text(found: etree._Element) -> bool:
    """Return whether every item of a list is words with a link in them, and not a link with a date, as menus have."""
    items = list(found.iterchildren("li", "dd"))
    return bool(items) and all(map(_is_words_with_a_link, items))


def _is_words_with_a_link(item: etree._Element) -> bool:
    links = [child for child in item if child.tag == "a"]
    if len(links) != 1:
        return False
    loose = [item.text, *(child.tail for child in item)]
    n_words = sum(len(text.split()) for text in loose if text)
    return n_words > _MIN_LOOSE_WORDS and n_words > len(_TEXT(links[0]).split())


def _text_before(element: etree._Element) -> str:
    """Return the loose text or the paragraph that an element follows."""
    previous = element.getprevious()
    loose = element.getparent().text if previous is None else previous.tail
    if loose and loose.strip():
        return loose.strip()
    return "".join(previous.itertext()).strip() if previous is not None and previous.tag in ("p", "div") else ""


def _is_in_plain_boxes(element: etree._Element) -> bool:
    """Return whether nothing around an element tells the extractor where the page's text is."""
    return all(
        box.tag in ("body", "html", "div", "center") and not any(box.get(name) for name in ("class", "id", "role"))
        for box in element.iterancestors()
    )


def _items_become_paragraphs(found: etree._Element) -> None:
    """Make paragraphs of the items of a list and of the lists in it."""
    inner = list(found.iterdescendants("ul", "ol", "dl"))
    for nested in reversed(inner):
        if nested.getparent().tag in ("li", "dd"):
            nested.getparent().addnext(nested)
    for item in list(found.iter("li", "dt", "dd")):
        if item.tag == "li":
            item.text = f"- {(item.text or '').lstrip()}"
        item.tag = "p"
    for listed in (found, *inner):
        listed.attrib.clear()
        listed.tag = "div"
