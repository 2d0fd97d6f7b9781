"""The text of a run: its white space, its line breaks, and the code and formulas in it.

Notable: in the pieces of a run a line break is a vertical tab, which no tree of XML can hold, so that the line breaks
of the source are only white space.
"""

import re
from collections.abc import Iterable, Iterator

from tasks.extract.rendering.blocks import Inline, Span
from tasks.extract.rendering.marks import marks_in, without_marks

LINE_BREAK = Span("text", "\v")
_PARAGRAPH_BREAK = re.compile(r"\v\s*\v\s*")
_AROUND_BREAKS = re.compile(r" *\n *")
_SPACES = re.compile(r"\s+")
_CJK = (
    "\u2e80-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffdc\U00020000-\U0003ffff"
)
_BREAK_BETWEEN_CJK = re.compile(f"(?<=[{_CJK}])[ \t\r]*+\n[ \t\r\n]*+(?=[{_CJK}])")
JOINERS = frozenset("\u200c\u200d\u180e\u06dd" + "".join(map(chr, range(0xE0020, 0xE0080))))
"""Characters that Python does not print but that are spelling: zero-width joiners, Mongolian's separator, the sign
around the numbers of the Koran's verses, and the tags of flags."""


def paragraphs(spans: Iterable[Span]) -> Iterator[tuple[Inline, list[int]]]:
    """Yield the paragraphs of a run, which two line breaks in a row part, each with the numbers of its marks."""
    current: list[Span] = []
    for span in _joined(spans):
        if span.kind != "text":
            current.append(span)
            continue
        first, *others = _PARAGRAPH_BREAK.split(span.text)
        current.append(Span("text", first))
        for other in others:
            yield from _clean(current)
            current = [Span("text", other)]
    yield from _clean(current)


def one_line(spans: Iterable[Span]) -> Inline:
    """Return what a run holds on one line."""
    joined = (Span(span.kind, span.text.replace("\v", " ")) for span in _joined(spans))
    return next((content for content, _ in _clean(list(joined))), ())


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield spans with texts that follow each other joined into one."""
    texts: list[str] = []
    for span in spans:
        if span.kind == "text":
            texts.append(span.text)
            continue
        if texts:
            yield Span("text", "".join(texts))
            texts = []
        yield span
    if texts:
        yield Span("text", "".join(texts))


def _clean(spans: list[Span]) -> Iterator[tuple[Inline, list[int]]]:
    """Yield the spans without needless white space, marks and what nobody sees, and the marks, if any text is left."""
    cleaned: list[Span] = []
    marks: list[int] = []
    for span in spans:
        text = span.text
        if span.kind == "text":
            if not text.isascii():
                marks += marks_in(text)
                text = _without_needless_breaks(without_marks(text))
            text = _collapsed(text) if cleaned else _collapsed(text).lstrip()
        if text:
            cleaned.append(Span(span.kind, text))
    if cleaned and cleaned[-1].kind == "text":
        last = cleaned.pop().text.rstrip()
        cleaned += [Span("text", last)] if last else []
    if any(span.kind != "text" or any(map(str.isalnum, span.text)) for span in cleaned):
        yield tuple(cleaned), marks


def _without_needless_breaks(text: str) -> str:
    return _BREAK_BETWEEN_CJK.sub("", text) if "\n" in text else text


def _collapsed(text: str) -> str:
    if "\v" in text:
        lines = (_SPACES.sub(" ", line) for line in text.split("\v"))
        return _AROUND_BREAKS.sub("\n", "\n".join(map(_printable, lines)))
    return _printable(_SPACES.sub(" ", text))


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(character for character in text if character.isprintable() or character in JOINERS)
