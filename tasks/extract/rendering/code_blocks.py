"""The lines and the language of a block of code.

Notable: highlighters put each token into a span, each line into an element of its own, and the numbers of the lines
beside them; what is left of that here are the lines as they were written.
"""

import re

from lxml import etree

from tasks.extract.rendering.marks import BREAKS_LINE, UNSEEN, without_marks

_GUTTER = re.compile(
    r"(?:^|[\s_-])(?:gutter|line-?nos?|line-?nums?|line-?numbers?(?:-rows)?|lnt?|hljs-ln-(?:n|line|numbers)|blob-num)(?![\w-])",
    re.IGNORECASE,
)
_LINE = re.compile(r"(?:^|\s)(?:line|code-line|token-line|view-line|CodeMirror-line|react-code-text)(?:\s|$)")
_LANGUAGE = re.compile(
    r"(?:^|\s)(?:language-|lang-|highlight-source-|highlight-text-|highlight-|sourceCode\s+|brush:\s*)([\w+#.-]{1,20})"
    r"(?![\w+#.-])",
    re.IGNORECASE,
)
_LANGUAGE_ATTRIBUTES = ("data-lang", "data-language", "data-code-language", "lang")
_NO_LANGUAGE = frozenset(
    [
        "auto",
        "code",
        "default",
        "fallback",
        "highlight",
        "none",
        "nohighlight",
        "no-highlight",
        "notranslate",
        "plain",
        "plaintext",
        "raw",
        "text",
        "txt",
        "undefined",
        "unknown",
        "wrapper",
        "block",
    ]
)
_NAME = re.compile(r"[a-z][\w+#.-]{0,19}")
_NUMBERS = re.compile(r"[\d\s|:.-]+")
_INVISIBLE = str.maketrans({"\u00a0": " ", "\u200b": None, "\ufeff": None, "\u00ad": None, "\r": None})
_NUMBERED = re.compile(r"\s*(\d{1,6})(?![\d.):,])")
_MIN_NUMBERED = 3
_MOST_BOXES = 4


def code_text(element: etree._Element) -> str:
    """Return the lines of code in an element, without blank ones at the ends; "" for the numbers beside code."""
    pieces: list[str] = []
    _add_pieces(element, pieces)
    text = without_marks("".join(pieces)).translate(_INVISIBLE)
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[0]:
        del lines[0]
    while lines and not lines[-1]:
        del lines[-1]
    lines = _without_numbers(lines)
    text = "\n".join(lines)
    return "" if len(lines) > 1 and _NUMBERS.fullmatch(text) else text


def _without_numbers(lines: list[str]) -> list[str]:
    """Return the lines without their numbers, if each begins with its own and the code follows without a space."""
    numbered = [_NUMBERED.match(line) for line in lines]
    if len(lines) < _MIN_NUMBERED or any(
        found is None or int(found[1]) != place + 1 for place, found in enumerate(numbered)
    ):
        return lines
    rest = [line[found.end() :] for line, found in zip(lines, numbered, strict=True) if found]
    return rest if any(line[:1].isalpha() for line in rest) else lines


def code_language(element: etree._Element) -> str:
    """Return the language of code by the names on its element and on those around it; "" where there is none."""
    boxes = [element, *element.iterchildren("code")]
    box = element.getparent()
    while box is not None and len(boxes) < _MOST_BOXES and box.tag in ("div", "figure", "pre", "td"):
        boxes.append(box)
        box = box.getparent()
    for box in boxes:
        names = [box.get(name) or "" for name in _LANGUAGE_ATTRIBUTES[: 4 if box is element else 3]]
        if box.tag != "div" or "highlight" in (box.get("class") or "") or "language" in (box.get("class") or ""):
            names += _LANGUAGE.findall(box.get("class") or "")
        for name in names:
            lowered = name.lower()
            if _NAME.fullmatch(lowered) and lowered not in _NO_LANGUAGE:
                return lowered
    return ""


def _add_pieces(element: etree._Element, pieces: list[str]) -> None:
    """Add the text of code to `pieces`, with a newline after what stands on a line of its own."""
    is_on_lines = _each_child_is_a_line(element)
    if element.text:
        pieces.append(element.text)
    for child in element:
        if child.tag == "br":
            pieces.append("\n")
        elif isinstance(child.tag, str) and child.tag not in UNSEEN and not _is_gutter(child):
            before = len(pieces)
            _add_pieces(child, pieces)
            if (is_on_lines or child.tag in BREAKS_LINE) and (len(pieces) == before or pieces[-1][-1] != "\n"):
                pieces.append("\n")
        if child.tail and not (is_on_lines and child.tail.isspace()):
            pieces.append(child.tail)


def _each_child_is_a_line(element: etree._Element) -> bool:
    """Return whether a newline belongs after each child, since the page has none there."""
    if len(element) < 2:
        return False
    first = element[0]
    if first.tag in BREAKS_LINE:
        return all(not (child.tail or "").strip() for child in element)
    is_line = first.tag == "code" or (first.tag == "span" and _LINE.search(first.get("class") or ""))
    return bool(is_line) and not any(
        "\n" in text for child in element for text in (child.tail or "", *child.itertext())
    )


def _is_gutter(element: etree._Element) -> bool:
    name = element.get("class")
    return (element.get("data-line-number") is not None and not len(element) and not element.text) or (
        name is not None and _GUTTER.search(name) is not None
    )
