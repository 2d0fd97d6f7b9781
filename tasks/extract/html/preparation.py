"""Prepare a page's tree so that the extractor keeps what a reader sees, and only that.

Notable: each change prevents one kind of fault of trafilatura: text that no reader sees (templates, hidden elements);
formulas, exponents and quotation marks that it loses; spaces between Chinese or Japanese characters; lists that its
rules drop; tables that lay out a page. Characters that it removes although they are spelling, such as the zero-width
joiners of Persian and of emoji, go through it as letters of a dead script.
"""

import re
from collections.abc import Callable

from lxml import etree

from tasks.extract.html.formulas import replace_by_text, write_formulas

_JOINERS = "\u200c\u200d" + "".join(map(chr, range(0xE0020, 0xE0080)))
_STAND_INS = "".join(chr(0x18B00 + place) for place in range(len(_JOINERS)))  # the Khitan small script
_TO_STAND_INS = str.maketrans(_JOINERS, _STAND_INS)
_FROM_STAND_INS = str.maketrans(_STAND_INS, _JOINERS)
_STAND_IN = re.compile(f"[{_STAND_INS}]")
_CJK = (
    "\u2e80-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffdc\U00020000-\U0003ffff"
)
_CJK_BREAK = re.compile(f"(?<=[{_CJK}])[ \t\r]*+\n[ \t\r\n]*+(?=[{_CJK}])")
_BREAK_BEFORE_CJK = re.compile(f"\n[ \t\r\n]*+(?=[{_CJK}])")
_FIRST_CJK = "\u2e80"
_CJK_SIGNS = "。、，の的"
"""Characters of which every Chinese or Japanese text has one."""

_JOINER_SIGNS = "\u200c\u200d\U000e007f"
"""Of the joiners, one that every text with any has: the tags of a flag end in the last."""
_TEXT = etree.XPath("string()", smart_strings=False)
_N_CHARS = etree.XPath("string-length()")
_TEXTS_WITH_BREAKS = etree.XPath("//text()[contains(., '\n')][not(parent::pre or parent::script or parent::textarea)]")
_TEXTS_WITH_JOINERS = etree.XPath(f"//text()[translate(., '{_JOINERS}', '') != string(.)]")
_CHANGED_TAGS = ("template", "script", "math", "sup", "sub", "q", "table", "ul", "ol", "dl")
_ENTITIES = ("&zw", "&#82", "&#x20", "&#X20", "&#xE00", "&#xe00", "&#9176")
_HIDDEN = etree.XPath("descendant::body/descendant::*[@hidden]")
_MOST_CELL_CHARS = 500
"""Characters of a cell of data; a longer one is a page's text."""
_MIN_ANNOUNCEMENT_CHARS = 20
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
    write_formulas(found["script"], found["math"], [*found["sup"], *found["sub"]])
    _write_quotation_marks(found["q"])
    for table in found["table"] if layout_tables else ():
        if _lays_out(table):
            _make_boxes(table)
    _lists_in_cells_become_paragraphs(found["table"])
    _keep_lists([*found["ul"], *found["ol"], *found["dl"]])
    if html.isascii() and not any(entity in html for entity in _ENTITIES):
        return False
    text = _TEXT(tree)
    if any(sign in text for sign in _CJK_SIGNS) and _has_break_between_cjk(text):
        _change_texts(_TEXTS_WITH_BREAKS(tree), lambda text: _CJK_BREAK.sub("", text))
    has_joiners = any(sign in text for sign in _JOINER_SIGNS) and not _STAND_IN.search(text)
    if has_joiners:
        _change_texts(_TEXTS_WITH_JOINERS(tree), lambda text: text.translate(_TO_STAND_INS))
    return has_joiners


def restore(text: str) -> str:
    """Put back the characters that went through the extractor as others."""
    return text.translate(_FROM_STAND_INS)


def _drop_unseen(tree: etree._Element, templates: list[etree._Element], html: str) -> None:
    hidden = []
    if "hidden" in html:
        hidden = [element for element in _HIDDEN(tree) if element.get("hidden") != "until-found"]
    # A page of which most is hidden is one that a script shows.
    if hidden and 2 * sum(map(_N_CHARS, hidden)) >= _N_CHARS(tree):
        hidden = []
    for element in (*templates, *hidden):
        replace_by_text(element, "")


def _write_quotation_marks(quotations: list[etree._Element]) -> None:
    for quotation in quotations:
        depth = sum(1 for _ in quotation.iterancestors("q"))
        start, end = "‘’" if depth % 2 else "“”"
        quotation.text = start + (quotation.text or "").lstrip()
        if len(quotation):
            quotation[-1].tail = (quotation[-1].tail or "").rstrip() + end
        else:
            quotation.text = quotation.text.rstrip() + end
    for quotation in quotations:
        quotation.tag = "span"


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
            found.tag = "div"


def _keep_lists(lists: list[etree._Element]) -> None:
    """Protect the lists that belong to the text around them from the rules against lists of links."""
    for found in lists:
        parent = found.getparent()
        if parent is None:
            continue
        announcement = _text_before(found)
        if len(announcement) >= _MIN_ANNOUNCEMENT_CHARS and announcement.endswith((":", "：")):
            etree.strip_tags(found, "a")
        previous = found.getprevious()
        if (
            previous is not None
            and previous.tag in _HEADINGS_AND_TEXT
            and parent.find("p") is not None
            and _is_in_plain_boxes(found)
        ):
            _items_become_paragraphs(found)


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


def _has_break_between_cjk(text: str) -> bool:
    """Return whether there is one, looking at line breaks only, which are rare."""
    places = (found.start() for found in _BREAK_BEFORE_CJK.finditer(text))
    return any(text[max(0, place - 4) : place].rstrip(" \t\r")[-1:] >= _FIRST_CJK for place in places)


def _change_texts(texts: list[etree._ElementUnicodeResult], change: Callable[[str], str]) -> None:
    for text in texts:
        element = text.getparent()
        if text.is_tail:
            element.tail = change(text)
        else:
            element.text = change(text)
