"""Tell the tables that lay out a page from those that hold data."""

from lxml import etree

N_CHARS = etree.XPath("string-length()")
_MOST_CELL_CHARS = 500
"""Characters of a cell of data; a longer one is a page's text."""


def lays_out(table: etree._Element) -> bool:
    """Return whether a table serves the page's layout, not data."""
    if (table.get("role") or "").lower() in ("presentation", "none"):
        return True
    if next(table.iterdescendants("table", "pre"), None) is not None:
        return True
    if next(table.iterdescendants("th", "caption"), None) is not None:
        return False
    cells = list(table.iterdescendants("td"))
    if len(cells) <= 1:
        return True
    return any(N_CHARS(cell) > _MOST_CELL_CHARS for cell in cells)


def make_boxes(table: etree._Element) -> None:
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
