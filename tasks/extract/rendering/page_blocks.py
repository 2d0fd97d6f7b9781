"""Read the chosen runs of a page as blocks.

Notable:
- Only what holds a chosen run is walked. A run is taken whole, so no sentence is torn.
- A block of code is taken whole too, and so is a table of data of which a quarter was chosen; of another the
  chosen cells.
- Beyond `_MOST_NESTING` lists and quotations in each other the boxes are left out and the text stays.
"""

from collections.abc import Iterable, Iterator, Set

from lxml import etree

from tasks.extract.html.preparation import Prepared
from tasks.extract.rendering.blocks import Block, Code, Heading, Inline, List, Paragraph, Quote, Span, Table
from tasks.extract.rendering.code_blocks import code_language, code_text
from tasks.extract.rendering.inline_text import LINE_BREAK, one_line, paragraphs
from tasks.extract.rendering.kept_structure import left_out
from tasks.extract.rendering.marks import BREAKS_LINE, UNSEEN, Marks, marks_in, only_marks, without_marks

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LISTS = frozenset(("ul", "ol", "menu", "dir"))
_INLINE_CODE = frozenset(("code", "kbd", "samp", "tt"))
_PERMALINKS = frozenset("#¶§🔗")
_NOT_IN_A_TITLE = (*_HEADINGS, "p", "ul", "ol", "table", "pre", "blockquote")
_MOST_NESTING = 10
_ENOUGH_CHOSEN = 0.1
_MOST_COLUMNS = 100
_MOST_START = 999_999


def read_blocks(body: etree._Element, marks: Marks, chosen: Set[int], prepared: Prepared) -> list[Block]:
    """Return the blocks of the runs with the `chosen` marks in `body`, in their order in the page."""
    holders = _holders(marks, chosen)
    others = {number for number in left_out(body, chosen, holders) if number < len(marks.places)}
    holders |= _holders(marks, others)
    return _Reader(chosen | others, holders, prepared).read(body)


class _Reader:
    def __init__(self, chosen: Set[int], holders: Set[etree._Element], prepared: Prepared) -> None:
        self._chosen, self._holders = chosen, holders
        self._formulas, self._tags = prepared.formulas, prepared.tags
        self._nesting = 0

    def read(self, element: etree._Element) -> list[Block]:
        """Return the blocks in an element."""
        blocks: list[Block] = []
        run: list[Span] = []
        self._walk(element, blocks, run)
        self._end(run, blocks)
        return blocks

    def _walk(self, element: etree._Element, blocks: list[Block], run: list[Span]) -> None:
        """Add what an element holds to the open run, and to `blocks` the runs and blocks that end in it."""
        if element.text:
            run.append(Span("text", element.text))
        for child in element:
            tag = child.tag
            if tag in BREAKS_LINE:
                self._end(run, blocks)
                if child in self._holders:
                    self._block(child, blocks, run)
                    self._end(run, blocks)
            elif tag == "br":
                run.append(LINE_BREAK)
            elif tag not in UNSEEN and isinstance(tag, str):
                self._inline(child, blocks, run)
            if child.tail:
                run.append(Span("text", child.tail))

    def _inline(self, element: etree._Element, blocks: list[Block], run: list[Span]) -> None:
        if (formula := self._formulas.get(element)) is not None:
            run.append(Span("text", only_marks(element.text)))
            run.append(Span("display_math" if formula.is_display else "math", formula.tex))
        elif element.tag in _INLINE_CODE and not _holds_blocks(element):
            run += _inline_code(element)
        elif _is_permalink(element):
            run.append(Span("text", only_marks("".join(element.itertext()))))
        else:
            self._walk(element, blocks, run)

    def _end(self, run: list[Span], blocks: list[Block]) -> None:
        """Close a run: add those of its paragraphs that were chosen."""
        if run:
            found = paragraphs(run)
            blocks += (Paragraph(content) for content, marks in found if not self._chosen.isdisjoint(marks))
            run.clear()

    def _block(self, element: etree._Element, blocks: list[Block], run: list[Span]) -> None:
        tag = self._tag(element)
        if _is_title(element):
            if content := self._line(element):
                blocks.append(Heading(_HEADINGS[tag], content))
        elif tag == "pre":
            if text := code_text(element):
                blocks.append(Code(text, code_language(element)))
        elif tag == "table":
            self._table(element, blocks)
        elif self._nesting < _MOST_NESTING and (tag in ("blockquote", "li") or self._is_list(element)):
            self._nesting += 1
            if tag == "blockquote":
                inner = self.read(element)
                blocks += [Quote(tuple(inner))] if inner else []
            else:
                self._list(element, blocks)
            self._nesting -= 1
        else:
            self._walk(element, blocks, run)

    def _share_chosen(self, element: etree._Element) -> float:
        """Return the share of the marks in an element that were chosen."""
        numbers = marks_in("".join(element.itertext()))
        return sum(number in self._chosen for number in numbers) / max(1, len(numbers))

    def _is_list(self, element: etree._Element) -> bool:
        return self._tag(element) in _LISTS and any(self._tag(child) == "li" for child in element)

    def _tag(self, element: etree._Element) -> str:
        return self._tags.get(element, element.tag)

    def _line(self, element: etree._Element) -> Inline:
        """Return all that an element holds on one line."""
        return one_line(self._spans(element))

    def _spans(self, element: etree._Element) -> Iterator[Span]:
        if element.text:
            yield Span("text", element.text)
        for child in element:
            tag = child.tag
            if tag == "br" or tag in BREAKS_LINE:
                yield LINE_BREAK
            if isinstance(tag, str) and tag not in UNSEEN:
                run: list[Span] = []
                if child in self._formulas or tag in _INLINE_CODE:
                    self._inline(child, [], run)
                    yield from run
                elif not _is_permalink(child):
                    yield from self._spans(child)
            if tag in BREAKS_LINE:
                yield LINE_BREAK
            if child.tail:
                yield Span("text", child.tail)

    def _list(self, element: etree._Element, blocks: list[Block]) -> None:
        """Add a list; what stands in it between its items belongs to the item before."""
        items: list[list[Block]] = []
        first, number = None, _number(element.get("start"), 1)
        for child in [element] if self._tag(element) == "li" else element:
            is_item = self._tag(child) == "li"
            inner = self.read(child) if is_item and child in self._holders else []
            if not is_item and child in self._holders:
                run: list[Span] = []
                self._block(child, inner, run)
                self._end(run, inner)
            if inner and (is_item or not items):
                items.append(inner)
                first = number if first is None else first
            elif inner:
                items[-1] += inner
            number += is_item
        if items:
            start = min(first or 0, _MOST_START) if self._tag(element) == "ol" else None
            blocks.append(List(tuple(map(tuple, items)), start))

    def _table(self, element: etree._Element, blocks: list[Block]) -> None:
        caption = next(element.iterchildren("caption"), None)
        if caption is not None and caption in self._holders and (title := self._line(caption)):
            blocks.append(Paragraph(title))
        rows = []
        all_cells = self._share_chosen(element) >= _ENOUGH_CHOSEN
        for row in element.iterdescendants("tr"):
            cells: list[Inline] = []
            for cell in row.iterchildren("td", "th"):
                cells.append(self._line(cell) if all_cells or cell in self._holders else ())
                cells += [()] * min(_number(cell.get("colspan"), 1) - 1, _MOST_COLUMNS - len(cells))
            if any(cells):
                rows.append(tuple(cells))
        if rows:
            blocks.append(Table(tuple(rows)))


def _holders(marks: Marks, chosen: Iterable[int]) -> set[etree._Element]:
    """Return the elements that hold a chosen run."""
    holders: set[etree._Element] = set()
    for number in chosen:
        element, is_tail = marks.places[number]
        holder = element.getparent() if is_tail else element
        while holder is not None and holder not in holders:
            holders.add(holder)
            holder = holder.getparent()
    return holders


def _inline_code(element: etree._Element) -> Iterator[Span]:
    text = "".join(element.itertext())
    yield Span("text", only_marks(text))
    if code := " ".join(without_marks(text).split()):
        yield Span("code", code)


def _holds_blocks(element: etree._Element) -> bool:
    return len(element) > 0 and next(element.iterdescendants("pre", "table", "p"), None) is not None


def _is_title(element: etree._Element) -> bool:
    """Return whether a heading holds no other blocks, as one does that was never closed."""
    return element.tag in _HEADINGS and next(element.iterdescendants(*_NOT_IN_A_TITLE), None) is None


def _is_permalink(element: etree._Element) -> bool:
    """Return whether an element is a heading's link to itself."""
    if element.tag != "a":
        return False
    name = element.get("class") or ""
    return "headerlink" in name or (
        len(text := without_marks((element.text or "").strip())) == 1 and text in _PERMALINKS
    )


def _number(value: str | None, default: int) -> int:
    """Return a number of an attribute, at least 0."""
    stripped = (value or "").strip()[:9]
    return int(stripped) if stripped.isascii() and stripped.isdigit() else default
