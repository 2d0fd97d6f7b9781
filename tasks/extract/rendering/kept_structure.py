"""Code and tables in the main text that the extractor left out.

Notable: extractors weigh words and links, and drop a short block of code, a table in a figure or one whose cells are
links from the middle of an article. What stands close beside chosen text belongs to it;
a table after the last of it does not.
"""

from collections.abc import Set

from lxml import etree

from tasks.extract.rendering.marks import marks_in

_MOST_BOXES = {"pre": 5, "table": 4}
"""How many boxes around a structure are looked at for chosen text."""
_ELSEWHERE = frozenset(("nav", "aside", "footer", "form"))
_MIN_ROWS, _MIN_CELLS = 2, 4
_MIN_CELL_CHARS = 3
"""On average; a calendar has fewer."""
_MOST_LINKED = 0.7
"""Share of a table's characters in links above which it is a menu."""
_N_CHARS = etree.XPath("string-length(normalize-space())")


def left_out(tree: etree._Element, chosen: Set[int], holders: Set[etree._Element]) -> set[int]:
    """Return the marks of code and tables that belong to the chosen text, around which `holders` are."""
    found: set[int] = set()
    for element in tree.iter(*_MOST_BOXES) if chosen else ():
        if element not in holders and _is_beside(element, holders):
            numbers = marks_in("".join(element.itertext()))
            if numbers and (element.tag == "pre" or (numbers[-1] < max(chosen) and _is_data(element))):
                found.update(numbers)
    return found


def _is_beside(element: etree._Element, holders: Set[etree._Element]) -> bool:
    for box, _ in zip(element.iterancestors(), range(_MOST_BOXES[element.tag]), strict=False):
        if box.tag in _ELSEWHERE or box.tag == "body":
            return False
        if box in holders:
            return True
    return False


def _is_data(table: etree._Element) -> bool:
    rows, cells = (sum(1 for _ in table.iterdescendants(*tags)) for tags in (("tr",), ("td", "th")))
    if rows < _MIN_ROWS or cells < _MIN_CELLS or cells < 2 * rows - 1:
        return False
    n_chars = _N_CHARS(table)
    linked = sum(map(_N_CHARS, table.iterdescendants("a")))
    return bool(linked <= _MOST_LINKED * n_chars and n_chars >= _MIN_CELL_CHARS * cells)
