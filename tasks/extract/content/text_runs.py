"""The runs of a page's text: stretches without an element that breaks the line, each with the boxes around it.

Notable:
- One walk over the tree collects everything that `run_features` measures; columns of plain lists, no object a run.
- Runs stand in the order of the page, so those in a box are a range.
- Nesting is bounded by the parser (256), so the walk may recurse.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import compress
from typing import Final

from lxml import etree

from tasks.extract.content.class_words import ARIA_ROLES, TAG_ROLES, class_mask

_INLINE_WRITTEN = """
a abbr acronym b bdi bdo big br cite code data del dfn em font i img ins kbd mark nobr q ruby rb rt s samp small
span strike strong sub sup time tt u var wbr
"""
INLINE: Final = frozenset(_INLINE_WRITTEN.split())
"""Elements within a run."""
_UNSEEN_WRITTEN = """
script style noscript template head svg iframe select textarea input object video audio canvas math param link
meta datalist map embed
"""
UNSEEN: Final = frozenset(_UNSEEN_WRITTEN.split())
"""Elements whose text is none of the page's."""
_TAGS_WRITTEN = """
p div li td th dd dt h1 h2 h3 h4 h5 h6 pre blockquote figcaption button label section article main header footer
aside nav form figure table tr ul ol dl body summary details caption legend address center tbody
"""
TAGS: Final = {tag: number for number, tag in enumerate(_TAGS_WRITTEN.split())}
"""Numbers of the tags that are told apart."""
_UNSTYLED = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_BOLD = frozenset(("b", "strong"))

Piece = tuple[etree._Element, bool]
"""A text of the tree: an element, and whether it is the element's tail."""


@dataclass
class TextRuns:
    """Columns of runs, and columns of the boxes (elements that break the line) that hold them."""

    texts: list[str] = field(default_factory=list)
    """Stripped; a line break for each br."""
    pieces: list[list[Piece]] = field(default_factory=list)
    """The texts of the tree that make up each run."""
    link_chars: list[int] = field(default_factory=list)
    bold_chars: list[int] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    """How many br elements."""
    inline_masks: list[int] = field(default_factory=list)
    """Class masks of the inline elements in the run."""
    boxes: list[int] = field(default_factory=list)
    """The innermost box around each run, by its number."""

    parents: list[int] = field(default_factory=list)
    """Of each box, the box around it; -1: none. Boxes are numbered in the order in which they begin."""
    groups: list[int] = field(default_factory=list)
    """A number for each path of tags and classes from the root."""
    masks: list[int] = field(default_factory=list)
    """The class mask of each box itself."""
    roles: list[int] = field(default_factory=list)
    """Roles of a box and all around it."""
    tags: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    hidden: list[bool] = field(default_factory=list)
    """Whether a style or `aria-hidden` hides a box or one around it."""
    orders: list[int] = field(default_factory=list)
    """How many boxes begin before each in its parent."""
    firsts: list[int] = field(default_factory=list)
    """The first run in or behind the beginning of each box."""
    ends: list[int] = field(default_factory=list)
    """The first run behind the end of each box."""

    def pieces_of(self, is_kept: Iterable[bool]) -> set[Piece]:
        """Return the texts of the tree that make up runs, and the pre elements around them."""
        kept = {piece for pieces in compress(self.pieces, is_kept) for piece in pieces}
        code = (box for element, _ in kept if (box := next(element.iterancestors("pre"), None)) is not None)
        return kept.union((box, False) for box in code)


def read_runs(tree: etree._Element) -> TextRuns:
    """Return the runs of a page's tree."""
    body = tree.find("body")
    walk = _Walk()
    walk.box(tree if body is None else body, "body", -1, 0)
    return walk.runs


class _Walk:
    def __init__(self) -> None:
        self.runs = TextRuns()
        self._groups: dict[tuple[int, str, str], int] = {}
        self._parts: list[str] = []
        self._pieces: list[Piece] = []
        self._link = self._bold = self._breaks = self._mask = 0

    def box(self, element: etree._Element, tag: str, parent: int, order: int) -> None:
        """Read a box: what it holds begins and ends runs."""
        runs = self.runs
        number = len(runs.parents)
        classes, names, roles, is_hidden = _attributes(element) if element.attrib else ("", "", 0, False)
        roles |= TAG_ROLES.get(tag, 0)
        group, depth = 0, 0
        if parent >= 0:
            roles |= runs.roles[parent]
            group, depth = runs.groups[parent], runs.depths[parent] + 1
            is_hidden = is_hidden or runs.hidden[parent]
        runs.parents.append(parent)
        runs.groups.append(self._groups.setdefault((group, tag, classes), len(self._groups) + 1))
        runs.masks.append(class_mask(names) if names else 0)
        runs.roles.append(roles)
        runs.tags.append(TAGS.get(tag, -1))
        runs.depths.append(depth)
        runs.hidden.append(is_hidden)
        runs.orders.append(order)
        runs.firsts.append(len(runs.texts))
        runs.ends.append(0)
        self._inside(element, number, False, False)
        self._flush(number)
        runs.ends[number] = len(runs.texts)

    def _inside(self, element: etree._Element, box: int, is_link: bool, is_bold: bool) -> None:
        if text := element.text:
            self._add(text, (element, False), is_link, is_bold)
        order = 0
        for child in element:
            tag = child.tag
            if tag in INLINE:
                if tag == "br":
                    self._parts.append("\n")
                    self._breaks += 1
                else:
                    if names := child.get("class"):
                        self._mask |= class_mask(names)
                    self._inside(child, box, is_link or tag == "a", is_bold or tag in _BOLD)
            elif tag not in UNSEEN and isinstance(tag, str):
                if self._parts:
                    self._flush(box)
                self.box(child, tag, box, order)
                order += 1
            if text := child.tail:
                self._add(text, (child, True), is_link, is_bold)

    def _add(self, text: str, piece: Piece, is_link: bool, is_bold: bool) -> None:
        if not self._parts and text.isspace():
            return
        self._parts.append(text)
        self._pieces.append(piece)
        if is_link:
            self._link += len(text.strip())
        if is_bold:
            self._bold += len(text.strip())

    def _flush(self, box: int) -> None:
        """End a run."""
        if self._parts:
            text = "".join(self._parts).strip()
            if text and any(map(str.isalnum, text)):
                runs = self.runs
                runs.texts.append(text)
                runs.pieces.append(self._pieces.copy())
                runs.link_chars.append(self._link)
                runs.bold_chars.append(self._bold)
                runs.breaks.append(self._breaks)
                runs.inline_masks.append(self._mask)
                runs.boxes.append(box)
            self._parts.clear()
            self._pieces.clear()
        self._link = self._bold = self._breaks = self._mask = 0


def _attributes(element: etree._Element) -> tuple[str, str, int, bool]:
    """Return an element's classes, its classes and other names, its ARIA role's mask, and whether it hides."""
    classes, others, roles, is_hidden = "", "", 0, False
    for name, value in element.items():
        if name == "class":
            classes = value
        elif name in ("id", "itemprop"):
            others += " " + value
        elif name == "role":
            roles = ARIA_ROLES.get(value, 0)
        elif name == "style":
            is_hidden = is_hidden or _UNSTYLED.search(value) is not None
        elif name == "aria-hidden":
            is_hidden = is_hidden or value == "true"
    return classes, classes + others, roles, is_hidden
