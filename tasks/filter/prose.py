"""Tell the prose of a Markdown text from its code, tables and formulas.

Notable: lines decide, not a parser: the texts are our own Markdown, or plain text, in which little looks like it. A
block of code that never ends is code to the end of the text, as in CommonMark.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

LineKind = Literal["prose", "heading", "item", "code", "table", "formula", "blank"]

_MAY_HAVE_STRUCTURE = re.compile(r"^[ >]*(?:#{1,6} |[-*] |\d{1,9}[.)] |\||```|\$\$|> )|[`$\\]", re.MULTILINE)
_FENCE = re.compile(r"[ >]*(?:(?:[-*]|\d{1,9}[.)]) +)*(`{3,})")
_QUOTED = re.compile(r"(?: *>)+ ?")
_HEADING = re.compile(r" *#{1,6} +")
_ITEM = re.compile(r" *(?:(?:[-*]|\d{1,9}[.)]) +)+")
_CODE_SPAN = re.compile(r"(`+)(.{1,1000}?)\1(?!`)")
_FORMULA = re.compile(r"\$\$?(?=\S)[^$\n]{1,2000}(?<=\S)\$\$?(?!\d)|\\\(.{1,2000}?\\\)|\\\[.{1,2000}?\\\]")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_CURLY_BRACKETS = str.maketrans("", "", "{}")


@dataclass(frozen=True, slots=True)
class Prose:
    """A text without its code, tables, formulas and marks."""

    text: str
    """Its lines: paragraphs and items; headings have no part in it."""
    n_items: int
    """How many of the lines are items of lists."""
    n_chars_elsewhere: int
    """Characters in the code, tables and formulas that stand on lines of their own."""


def may_have_structure(text: str) -> bool:
    """Return whether a text has any sign of Markdown; if not, all of it is prose."""
    return _MAY_HAVE_STRUCTURE.search(text) is not None


def prose_of(text: str) -> Prose:
    """Return the prose of a text."""
    lines: list[str] = []
    n_items = n_chars_elsewhere = 0
    for kind, line in lines_by_kind(text):
        if kind in ("code", "table", "formula"):
            n_chars_elsewhere += len(line)
        elif kind in ("prose", "item"):
            n_items += kind == "item"
            lines.append(_plain(line))
    return Prose("\n".join(lines), n_items, n_chars_elsewhere)


def lines_by_kind(text: str) -> Iterator[tuple[LineKind, str]]:
    """Yield the lines of a text, with the kind of each."""
    fence = ""
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if fence:
            yield "code", line
            if found and found[1].startswith(fence) and not line[found.end() :].strip("` "):
                fence = ""
        elif found:
            fence = found[1]
            yield "code", line
        else:
            yield _kind(line), line


def _kind(line: str) -> LineKind:
    stripped = _QUOTED.sub("", line, count=1).strip() if line.lstrip()[:1] == ">" else line.strip()
    if not stripped:
        return "blank"
    if stripped[0] == "|" and stripped[-1] == "|" and len(stripped) > 1:
        return "table"
    if stripped.startswith("$$") and stripped.endswith("$$"):
        return "formula"
    if stripped[0] == "#" and _HEADING.match(stripped):
        return "heading"
    return "item" if _ITEM.match(stripped) else "prose"


def _plain(line: str) -> str:
    """Return a line of prose without its marks and formulas."""
    if line.lstrip()[:1] == ">":
        line = _QUOTED.sub("", line, count=1)
    line = _ITEM.sub("", line, count=1)
    if "`" in line:
        line = _CODE_SPAN.sub(lambda found: found[2].translate(_CURLY_BRACKETS), line)
    if "$" in line or "\\" in line:
        line = _ESCAPE.sub(r"\1", _FORMULA.sub("", line))
    return line.strip()
