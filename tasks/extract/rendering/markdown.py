"""Blocks as Markdown that a CommonMark parser with pipe tables reads back as the same blocks.

Notable:
- Only what a parser would take for markup is escaped, so that most text stands as it is.
- Formulas stand between $ or $$, as most Markdown with mathematics has them; CommonMark takes them for text, on one
  line, so that nothing in them begins a block.
- No emphasis and no addresses of links: they are marks without content for a model of language.
- A list that follows a list has another sign, and one that cannot interrupt a paragraph has a blank line before it,
  since the parser would join them.
"""

import re
from collections.abc import Callable, Iterable

from tasks.extract.rendering.blocks import Block, Code, Heading, Inline, List, Paragraph, Quote, Span, Table

_MAY_BE_MARKUP = re.compile(r"[\\*_`\[\]<&]")
_MARKUP = re.compile(
    r"""\\(?=[!-/:-@\[-`{-~]|$)                                  # an escape
      | \*(?!(?<=\s\*)(?=\s)) | (?<![^\W_])_(?!\s) | _(?![^\W_])(?!(?<=\s_)\s)   # emphasis, but not a_b
      | ` | (?<=\])[(:] | <(?=[a-zA-Z/!?])                      # code, a link, a tag
      | &(?=\#?\w+;)                                            # a reference to a character
    """,
    re.VERBOSE | re.MULTILINE,
)
# What begins a block at the beginning of a line: a heading, a quotation, a rule or a list, code, a table's second row.
_MAY_BEGIN_A_BLOCK = re.compile(r"^[#>\-+*=~|:_\d]", re.MULTILINE)
_BEGINS_A_BLOCK = re.compile(
    r"^(?:(\#{1,6}(?=\s|$)|>|[-+*](?=\s|$)|[-=]+[ ]*$|~~~|[-|:][-|: ]*$|[-_*](?:[ ]*[-_*]){2,}[ ]*$)"
    r"|(\d{1,9})([.)](?=\s|$)))",
    re.MULTILINE,
)
_CLOSING_HASHES = re.compile(r"(?<![^\s])(#+)$")
_BACKTICKS = re.compile("`+")
_MOST_NUMBER = 999_999_999


def markdown(blocks: Iterable[Block]) -> str:
    """Return blocks as Markdown, without a newline at the end."""
    return "\n".join(_lines(tuple(blocks), is_tight=False))


def _lines(blocks: tuple[Block, ...], is_tight: bool) -> list[str]:
    """Return the lines of blocks, with blank ones between them unless `is_tight`."""
    lines: list[str] = []
    other_sign = False
    for place, block in enumerate(blocks):
        if place and not is_tight:
            lines.append("")
        before = blocks[place - 1] if place else None
        if isinstance(block, List):
            follows = isinstance(before, List) and (before.start is None) == (block.start is None)
            other_sign = follows and not other_sign
            lines += _list(block, other_sign)
        else:
            lines += _simple(block)
    return lines


def _simple(block: Heading | Paragraph | Code | Quote | Table) -> list[str]:
    match block:
        case Heading():
            text = _CLOSING_HASHES.sub(r"\\\1", _inline(block.content, _escape).replace("\n", " "))
            return [f"{'#' * block.level} {text}"]
        case Paragraph():
            return _paragraph(block.content)
        case Code():
            return _fenced(block)
        case Quote():
            return [f"> {line}" if line else ">" for line in _lines(block.blocks, is_tight=False)]
        case Table():
            return _table(block)


def _paragraph(content: Inline) -> list[str]:
    text = _inline(content, _escape)
    if _MAY_BEGIN_A_BLOCK.search(text):
        text = _BEGINS_A_BLOCK.sub(lambda found: f"{found[2] or ''}\\{found[3] or found[1]}", text)
    *before, last = text.split("\n")
    return [*(f"{line}  " for line in before), last]


def _fenced(block: Code) -> list[str]:
    longest = max(map(len, _BACKTICKS.findall(block.text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence + block.language, *block.text.split("\n"), fence]


def _list(block: List, other_sign: bool) -> list[str]:
    is_tight = all(_is_tight(item) for item in block.items)
    lines: list[str] = []
    for place, item in enumerate(block.items):
        if place and not is_tight:
            lines.append("")
        sign = "*" if other_sign else "-"
        if block.start is not None:
            sign = f"{min(block.start + place, _MOST_NUMBER)}{')' if other_sign else '.'}"
        indent = " " * (len(sign) + 1)
        first, *others = _lines(item, is_tight)
        lines += [f"{sign} {first}", *(indent + line if line else "" for line in others)]
    return lines


def _is_tight(item: tuple[Block, ...]) -> bool:
    """Return whether an item needs no blank lines: one paragraph, and perhaps a list that can follow it directly."""
    if not isinstance(item[0], Paragraph) or len(item) > 2:
        return False
    return len(item) == 1 or (
        isinstance(item[1], List) and item[1].start in (None, 1) and all(_is_tight(inner) for inner in item[1].items)
    )


def _table(block: Table) -> list[str]:
    width = max(map(len, block.rows))
    head, *rows = ([_inline(cell, _escape_cell).replace("\n", " ") for cell in row] for row in block.rows)
    head += [""] * (width - len(head))
    return [_row(head), _row(["---"] * width), *map(_row, rows)]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _inline(content: Inline, escape: Callable[[str], str]) -> str:
    return "".join(_span(span, escape) for span in content)


def _span(span: Span, escape: Callable[[str], str]) -> str:
    if span.kind == "text":
        return escape(span.text)
    in_cell = escape is _escape_cell
    text = span.text.replace("|", "\\|") if in_cell else span.text
    if span.kind == "math":
        return f"${text}$"
    if span.kind == "display_math":
        return f"$${text}$$"
    ticks = "`" * (1 + max(map(len, _BACKTICKS.findall(text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def _escape(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", text) if _MAY_BE_MARKUP.search(text) else text


def _escape_cell(text: str) -> str:
    return _escape(text).replace("|", "\\|")
