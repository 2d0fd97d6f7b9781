"""Lists that their authors typed: lines of a paragraph that begin with a bullet or a number.

Notable: Markdown takes such a line for an item of a list unless its sign is escaped, which people do not do.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tasks.extract.rendering.blocks import Block, Inline, List, Paragraph, Quote, Span

_SIGN = re.compile(r"(?:[-+*•·‣▪●○◦]|(\d{1,9})[.)]) +(?=\S)")


@dataclass(frozen=True, slots=True)
class _Item:
    number: int | None
    content: Inline


def with_typed_lists(blocks: Iterable[Block]) -> list[Block]:
    """Return the blocks with lists in place of paragraphs that are typed ones, inside lists and quotations too."""
    found: list[Block] = []
    items: list[_Item] = []
    for piece in (piece for block in blocks for piece in _pieces(block)):
        if isinstance(piece, _Item):
            if items and not _follows(piece, items):
                found.append(_list(items))
                items = []
            items.append(piece)
            continue
        if items:
            found.append(_list(items))
            items = []
        found.append(piece)
    return [*found, _list(items)] if items else found


def _follows(item: _Item, items: list[_Item]) -> bool:
    last = items[-1].number
    return item.number == (None if last is None else last + 1)


def _list(items: list[_Item]) -> List:
    return List(tuple((Paragraph(item.content),) for item in items), items[0].number)


def _pieces(block: Block) -> Iterator[Block | _Item]:
    if isinstance(block, Quote):
        yield Quote(tuple(with_typed_lists(block.blocks)))
    elif isinstance(block, List):
        yield List(tuple(tuple(with_typed_lists(_without_bullet(item))) for item in block.items), block.start)
    elif isinstance(block, Paragraph) and any(_sign_of(line) for line in _lines(block.content)):
        yield from _items(block.content)
    else:
        yield block


def _items(content: Inline) -> Iterator[Block | _Item]:
    loose: list[Span] = []
    for line in _lines(content):
        sign = _sign_of(line)
        if sign is None:
            loose += [Span("text", "\n"), *line] if loose else line
            continue
        if loose:
            yield Paragraph(tuple(loose))
            loose = []
        yield _Item(int(sign[1]) if sign[1] else None, _after(sign, line))
    if loose:
        yield Paragraph(tuple(loose))


def _without_bullet(item: tuple[Block, ...]) -> tuple[Block, ...]:
    """Return an item without the bullet that its text has besides its markup."""
    first = item[0]
    if not isinstance(first, Paragraph) or (sign := _sign_of(first.content)) is None or sign[1]:
        return item
    return (Paragraph(_after(sign, first.content)), *item[1:])


def _sign_of(line: Inline) -> re.Match[str] | None:
    return _SIGN.match(line[0].text) if line and line[0].kind == "text" else None


def _after(sign: re.Match[str], line: Inline) -> Inline:
    return (Span("text", line[0].text[sign.end() :]), *line[1:])


def _lines(content: Inline) -> list[Inline]:
    """Return the lines of a paragraph."""
    lines: list[list[Span]] = [[]]
    for span in content:
        first, *others = span.text.split("\n") if span.kind == "text" else (span.text,)
        for place, text in enumerate((first, *others)):
            if place:
                lines.append([])
            if text:
                lines[-1].append(Span(span.kind, text))
    return [tuple(line) for line in lines if line]
