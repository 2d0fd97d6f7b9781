"""Markdown: any tree of blocks comes back from a CommonMark parser as the same blocks, whatever its text looks like."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from tasks.extract.rendering.blocks import Block, Code, Heading, Inline, List, Paragraph, Quote, Span, Table
from tasks.extract.rendering.markdown import markdown

PARSER = MarkdownIt("commonmark").enable("table")


def words(*texts: str) -> Inline:
    return tuple(Span("text", text) for text in texts)


def read(text: str) -> list[Block]:
    """Return the blocks that a CommonMark parser finds in Markdown."""
    return list(blocks_of(SyntaxTreeNode(PARSER.parse(text)).children))


def blocks_of(nodes: Sequence[SyntaxTreeNode]) -> Iterator[Block]:
    for node in nodes:
        match node.type:
            case "heading":
                yield Heading(int(node.tag[1]), inline_of(node.children[0]))
            case "paragraph":
                yield Paragraph(inline_of(node.children[0]))
            case "fence":
                yield Code(node.content.removesuffix("\n"), node.info)
            case "blockquote":
                yield Quote(tuple(blocks_of(node.children)))
            case "bullet_list" | "ordered_list":
                start = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
                yield List(tuple(tuple(blocks_of(item.children)) for item in node.children), start)
            case "table":
                rows = [row for part in node.children for row in part.children]
                yield Table(tuple(tuple(map(inline_of, (cell.children[0] for cell in row.children))) for row in rows))
            case other:
                raise AssertionError(f"{other} was never written")


def inline_of(node: SyntaxTreeNode) -> Inline:
    spans: list[Span] = []
    for child in node.children:
        kind, text = {"code_inline": ("code", child.content), "hardbreak": ("text", "\n")}.get(
            child.type, ("text", child.content)
        )
        assert child.type in ("text", "code_inline", "hardbreak"), child.type
        if spans and kind == spans[-1].kind == "text":
            text = spans.pop().text + text
        if text:
            spans.append(Span("code" if kind == "code" else "text", text))
    return tuple(spans)


MARKUP = [
    *[
        "#",
        "##",
        "-",
        "+",
        "*",
        "**",
        "_",
        "__",
        ">",
        "`",
        "```",
        "~~~",
        "|",
        "\\",
        "<",
        "&",
        "[",
        "]",
        "(",
        ")",
        "!",
        "=",
        "---",
        "***",
        "___",
        ":",
        "1.",
        "2)",
        "10.",
        "$",
    ],
    *(
        "<div>",
        "</p>",
        "<!--",
        "&amp;",
        "&#35;",
        "[a](b)",
        "[a]: b",
        "![a](b)",
        "a_b",
        "_a_",
        "*a*",
        "`a`",
        "|---|",
        "\\*",
    ),
    *("===", "- - -", ":--", "<http://a.b>", "#a", "1.a", "-a", "a", "b", "word", "Satz", "港町", "x<y", "a&b"),
]
LINE = st.lists(st.sampled_from(MARKUP), min_size=1, max_size=6).map(" ".join)
LINES = st.lists(LINE, min_size=1, max_size=3).map("\n".join)
RUN = st.lists(st.sampled_from([*MARKUP, " ", ""]), min_size=1, max_size=8).map("".join).map(str.strip).filter(bool)
CODE_SPAN = st.lists(st.sampled_from(["a", "`", "``", "|", "\\", "*", "<b>"]), min_size=1, max_size=4).map("".join)


def inline(text: st.SearchStrategy[str]) -> st.SearchStrategy[Inline]:
    """Text alone, or with code between two texts."""
    alone = text.map(words)
    mixed = st.tuples(text, CODE_SPAN, text).map(
        lambda parts: (Span("text", parts[0] + " "), Span("code", parts[1]), Span("text", " " + parts[2]))
    )
    return alone | mixed


PARAGRAPH = st.builds(Paragraph, inline(LINES | RUN))
HEADING = st.builds(Heading, st.integers(1, 6), inline(LINE | RUN))
CODE_LINE = st.sampled_from(
    ["", "a = 1", "    return {", "\tx", "```", "````", "# no heading", "- no item", "| a |", "> b"]
)
CODE = st.builds(
    Code,
    st.lists(CODE_LINE, min_size=1, max_size=5).map("\n".join).filter(lambda text: text == text.strip("\n") != ""),
    st.sampled_from(["", "python", "c++", "objective-c", "c#"]),
)
CELL = inline(LINE | RUN)
TABLE = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.tuples(*[CELL] * width), min_size=1, max_size=4).map(lambda rows: Table(tuple(rows)))
)
LEAF = PARAGRAPH | HEADING | CODE | TABLE


def boxes(inner: st.SearchStrategy[Block]) -> st.SearchStrategy[Block]:
    several = st.lists(inner, min_size=1, max_size=3).map(tuple)
    items = st.lists(several, min_size=1, max_size=3).map(tuple)
    return st.builds(Quote, several) | st.builds(List, items, st.none() | st.integers(0, 120))


BLOCKS = st.lists(st.recursive(LEAF, boxes, max_leaves=8), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(BLOCKS)
def test_blocks_come_back_as_they_were(blocks: list[Block]) -> None:
    assert read(markdown(blocks)) == blocks


@pytest.mark.parametrize(
    "text",
    [
        "a_b and 5 * 6 and x < y",
        "costs $5, R&D, [1] (see there)",
        "C# and C++",
        "3.5 is no item",
        "#hashtag",
        "-5 degrees",
    ],
)
def test_what_is_no_markup_stands_as_it_is(text: str) -> None:
    assert markdown([Paragraph(words(text))]) == text


def test_each_block_has_its_form() -> None:
    blocks: list[Block] = [
        Heading(2, words("The tide")),
        Paragraph(
            (
                Span("text", "Call "),
                Span("code", "tide()"),
                Span("text", " for "),
                Span("math", "h=3t"),
                Span("text", "."),
            )
        ),
        List(((Paragraph(words("spring")),), (Paragraph(words("neap")), List(((Paragraph(words("low")),),), None))), 3),
        Quote((Paragraph(words("The lamp is lit.")),)),
        Code("def tide(t):\n    return 3 * t", "python"),
        Table(((words("t"), words("h")), (words("1"), words("3|4")))),
        Paragraph((Span("display_math", "h=\\frac{a}{b}"),)),
    ]
    assert (
        markdown(blocks)
        == """\
## The tide

Call `tide()` for $h=3t$.

3. spring
4. neap
   - low

> The lamp is lit.

```python
def tide(t):
    return 3 * t
```

| t | h |
| --- | --- |
| 1 | 3\\|4 |

$$h=\\frac{a}{b}$$"""
    )
