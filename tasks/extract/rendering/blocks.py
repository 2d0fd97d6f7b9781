"""What a text is made of: blocks, and the spans of text in them. Both forms of a text are written from these."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text of one kind."""

    kind: Literal["text", "code", "math", "display_math"]
    text: str
    """Without needless white space. In text a newline is a line break; the other kinds hold none. Math is TeX."""


Inline = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading."""

    level: int
    """From 1 to 6."""
    content: Inline
    """Without line breaks."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph."""

    content: Inline


@dataclass(frozen=True, slots=True)
class Code:
    """A block of code."""

    text: str
    """Its lines, with their indentation, without blank ones at the ends."""
    language: str
    """As the page names it, such as python; "" where it does not."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A block quotation."""

    blocks: tuple["Block", ...]


@dataclass(frozen=True, slots=True)
class List:
    """A list."""

    items: tuple[tuple["Block", ...], ...]
    start: int | None
    """The first item's number; None: bullets."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of data; rows may differ in length."""

    rows: tuple[tuple[Inline, ...], ...]


Block = Heading | Paragraph | Code | Quote | List | Table
