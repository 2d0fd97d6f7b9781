"""Prepare a page's tree so that the extractor keeps what a reader sees, and only that.

Notable: each change prevents one kind of fault of trafilatura: text that no reader sees (templates, hidden elements);
formulas, exponents and quotation marks that it loses; lists that its rules drop; tables that lay out a page. What the
changes hide from rendering comes back as `Prepared`.
"""

import re
from dataclasses import dataclass, field

from lxml import etree

from tasks.extract.html.formulas import Formula, replace_by_text, write_formulas
from tasks.extract.html.indexes import write_indexes
from tasks.extract.html.quotation_marks import write_quotation_marks
from tasks.extract.html.streamed import place_streamed
from tasks.extract.html.tables import N_CHARS, lays_out, make_boxes

_TEXT = etree.XPath("string()", smart_strings=False)
_CHANGED_TAGS = ("template", "script", "math", "img", "sup", "sub", "q", "table", "ul", "ol", "dl", "button")
_RAISED = etree.XPath("//span[contains(@style, 'vertical-align')]")
_SUPER_OR_SUB = re.compile(r"vertical-align\s*:\s*(super|sub)\b", re.IGNORECASE)
_HIDDEN = etree.XPath("descendant::body/descendant::*[@hidden]")
_STYLED_WORDS = etree.XPath(
    "descendant::body/descendant::*[contains(@style, 'none')]"
    "[self::span or self::a or self::b or self::i or self::em or self::strong or self::small or self::sup or self::sub]"
)
_NOT_DISPLAYED = re.compile(r"(?<![\w-])display\s*:\s*none\b")
_MOST_BUTTON_CHARS = 1000
_MIN_ANNOUNCEMENT_CHARS = 20
_MIN_LOOSE_WORDS = 3
_HEADINGS_AND_TEXT = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "ul", "ol", "dl"))


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a prepared tree no longer shows."""

    formulas: dict[etree._Element, Formula] = field(default_factory=dict)
    """By the spans that hold their text."""
    tags: dict[etree._Element, str] = field(default_factory=dict)
    """The tags of lists and items that became boxes and paragraphs."""


def prepare(tree: etree._Element, html: str, layout_tables: bool = True) -> Prepared:
    """Change a page's tree, of which `html` is the source, for the extractor.

    Without `layout_tables` these stay tables: among the boxes that they become, trafilatura's own search can choose
    wrongly, and only its comparison with a second extractor mends it.
    """
    found: dict[str, list[etree._Element]] = {tag: [] for tag in _CHANGED_TAGS}
    for element in tree.iter(*_CHANGED_TAGS):
        found[element.tag].append(element)
    _open_buttons(found["button"])
    place_streamed(tree, found["template"], html)
    _drop_unseen(tree, found["template"], html)
    prepared = Prepared(write_formulas(tree, html, found))
    write_indexes([*found["sup"], *found["sub"], *_raised_by_style(tree, html)])
    write_quotation_marks(found["q"])
    for table in found["table"] if layout_tables else ():
        if lays_out(table):
            make_boxes(table)
    _lists_in_cells_become_paragraphs(found["table"])
    _keep_lists([*found["ul"], *found["ol"], *found["dl"]], prepared.tags)
    return prepared


def _raised_by_style(tree: etree._Element, html: str) -> list[etree._Element]:
    """Return the spans that their style raises or lowers, as sup and sub."""
    raised = []
    for span in _RAISED(tree) if "vertical-align:s" in html or "vertical-align: s" in html else ():
        if style := _SUPER_OR_SUB.search(span.get("style")):
            span.tag = "sup" if style[1].lower() == "super" else "sub"
            raised.append(span)
    return raised


def _open_buttons(buttons: list[etree._Element]) -> None:
    """Make boxes of buttons that hold a page's text, as the parser reads one that is not closed where it should be."""
    for button in buttons:
        if N_CHARS(button) > _MOST_BUTTON_CHARS:
            button.tag = "div"


def _drop_unseen(tree: etree._Element, templates: list[etree._Element], html: str) -> None:
    hidden = []
    if "none" in html:
        # Boxes of that style are often shown by a script later, words within a line hardly ever.
        hidden = [element for element in _STYLED_WORDS(tree) if _NOT_DISPLAYED.search(element.get("style"))]
    if "hidden" in html:
        hidden += [element for element in _HIDDEN(tree) if not _is_opened(element)]
    # A page of which most is hidden is one that a script shows.
    if hidden and 2 * sum(map(N_CHARS, hidden)) >= N_CHARS(tree):
        hidden = []
    for element in (*templates, *hidden):
        replace_by_text(element, "")


def _is_opened(element: etree._Element) -> bool:
    """Return whether a reader can open a hidden element: one for searches, or a panel with a tab."""
    return element.get("hidden") == "until-found" or element.get("role") == "tabpanel"


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


def _keep_lists(lists: list[etree._Element], tags: dict[etree._Element, str]) -> None:
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
            _items_become_paragraphs(found, tags)


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


def _items_become_paragraphs(found: etree._Element, tags: dict[etree._Element, str]) -> None:
    """Make paragraphs of the items of a list and of the lists in it, and note what they were."""
    inner = list(found.iterdescendants("ul", "ol", "dl"))
    for nested in reversed(inner):
        if nested.getparent().tag in ("li", "dd"):
            nested.getparent().addnext(nested)
    for item in list(found.iter("li", "dt", "dd")):
        tags[item] = item.tag
        item.tag = "p"
    for listed in (found, *inner):
        tags.setdefault(listed, listed.tag)
        for name in ("class", "id", "role"):
            listed.attrib.pop(name, None)
        listed.tag = "div"
