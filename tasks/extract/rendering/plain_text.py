"""Blocks as plain text, a line each: code keeps its lines, a table's row stands on one line, formulas are TeX."""

from collections.abc import Iterable

from tasks.extract.rendering.blocks import Block, Code, Heading, Inline, List, Paragraph, Quote, Table

_AROUND = {"text": ("", ""), "code": ("", ""), "math": ("\\(", "\\)"), "display_math": ("\\[", "\\]")}


def plain_text(blocks: Iterable[Block], blank_lines: bool) -> str:
    """Return the text of blocks, with blank lines between them or without."""
    return ("\n\n" if blank_lines else "\n").join("\n".join(_lines(block)) for block in blocks)


def _lines(block: Block) -> list[str]:
    match block:
        case Heading() | Paragraph():
            return [_line(block.content)]
        case Code():
            return [block.text]
        case Table():
            return [f"| {' | '.join(map(_line, row))} |" for row in block.rows]
        case Quote():
            return [line for inner in block.blocks for line in _lines(inner)]
        case List():
            return [line for number, item in enumerate(block.items) for line in _item(item, block.start, number)]


def _item(blocks: tuple[Block, ...], start: int | None, number: int) -> list[str]:
    first, *others = (line for block in blocks for line in _lines(block))
    return [f"- {first}" if start is None else f"{start + number}. {first}", *others]


def _line(content: Inline) -> str:
    return "".join(f"{_AROUND[span.kind][0]}{span.text}{_AROUND[span.kind][1]}" for span in content)
