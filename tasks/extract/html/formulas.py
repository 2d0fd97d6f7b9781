"""Find a page's formulas, in whatever form the page holds them, and write them as TeX.

Notable:
- A formula comes as a script of MathJax, as MathML with TeX beside it or without, as an image with TeX as its text, as
  an attribute beside what a program has drawn, or as MathJax's drawing, whose elements bear the names of MathML.
- In the tree a formula is a span whose text is TeX between \\( and \\), which the extractor takes for words; rendering
  takes the formula itself from what `write_formulas` returns.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs

from lxml import etree

from tasks.extract.html.mathml import tex_of

_DISPLAY_STYLE = re.compile(r"\{\\displaystyle (.*)\}|\\displaystyle\s*(.*)")  # MediaWiki has it around each formula
_DRAWN = re.compile("katex-html|mwe-math-fallback")
_NO_FORMULA = ("p", "div", "table", "ul", "ol")  # math that was never closed has them
_SPACES = re.compile(r"\s+")
_IMAGE_CLASS = re.compile(r"\b(?:mwe-math|latex\b|tex\b|math\b|mimetex)")
_IMAGE_SOURCE = re.compile(r"latex\.php\?|latex\.codecogs\.com|/mimetex|chart\.googleapis\.com/chart\?cht=tx")
_TEX_ATTRIBUTES = ("data-math", "data-tex", "data-latex", "data-entry", "data-expr", "data-katex")
_WITH_ATTRIBUTE = etree.XPath(f"//*[self::span or self::div][{' or '.join('@' + name for name in _TEX_ATTRIBUTES)}]")
_LOOKS_LIKE_TEX = re.compile(r"[\\^_=+\-*/<>(){}]|\A\w{1,3}\Z")
_SEVERAL_SIGNS = re.compile(r"\\[A-Za-z]|[\^_{}=]")
_MOST_TEX_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula of a page."""

    tex: str
    """On one line."""
    is_display: bool
    """Whether it stands on a line of its own."""


Formulas = dict[etree._Element, Formula]


def write_formulas(tree: etree._Element, html: str, found: dict[str, list[etree._Element]]) -> Formulas:
    """Replace formulas by spans with their TeX; return these spans with their formulas.

    Args:
        tree: The page.
        html: Its source.
        found: The tree's `script`, `math` and `img` elements by their tags.
    """
    formulas: Formulas = {}
    if any(f"{name}=" in html for name in _TEX_ATTRIBUTES):
        for element in _WITH_ATTRIBUTE(tree):
            _write_attribute(element, formulas)
    for script in found["script"]:
        if (script.get("type") or "").lower().startswith("math/"):
            _write_script(script, formulas)
    for math in found["math"]:
        _write_mathml(math, formulas)
    for image in found["img"]:
        if tex := _tex_of_image(image):  # it is gone where the image only draws what MathML has said
            _replace(image, tex, False, formulas)
    return formulas


def replace_by_text(element: etree._Element, text: str) -> None:
    """Make an element of text alone; to join it with the text around takes the square of the number of elements."""
    for child in list(element):
        element.remove(child)
    element.attrib.clear()
    element.tag, element.text = "span", text


def _replace(element: etree._Element, source: str, is_display: bool, formulas: Formulas) -> None:
    tex = _clean(source)
    replace_by_text(element, (f"\\[{tex}\\]" if is_display else f"\\({tex}\\)") if tex else "")
    if tex:
        formulas[element] = Formula(tex, is_display)


def _clean(source: str) -> str:
    tex = _SPACES.sub(" ", source[:_MOST_TEX_CHARS]).strip()
    for begin, end in (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$")):
        if tex.startswith(begin) and tex.endswith(end) and len(tex) > len(begin) + len(end):
            tex = tex[len(begin) : -len(end)].strip()
            break
    styled = _DISPLAY_STYLE.fullmatch(tex)
    return ((styled[1] or styled[2] or "") if styled else tex).strip()


def _write_attribute(element: etree._Element, formulas: Formulas) -> None:
    parent = element.getparent()
    source = next(filter(None, map(element.get, _TEX_ATTRIBUTES)), "")
    if parent is None or not source or not _LOOKS_LIKE_TEX.search(source) or not _has_drawing(element):
        return
    _replace(element, source, element.tag == "div" or "display" in (element.get("class") or ""), formulas)


def _has_drawing(element: etree._Element) -> bool:
    """Return whether an element holds a drawn formula or nothing, so that its attribute says what a reader sees."""
    if not len(element) and not (element.text or "").strip():
        return True
    return any(
        inner.tag == "math" or "katex" in (inner.get("class") or "") or str(inner.tag).startswith("mjx-")
        for inner in element.iterdescendants()
    )


def _write_script(script: etree._Element, formulas: Formulas) -> None:
    previous = script.getprevious()
    while previous is not None and "MathJax" in (previous.get("class") or "") and not (previous.tail or "").strip():
        replace_by_text(previous, "")  # the formula as it was drawn, character by character
        previous = previous.getprevious()
    kind, source = (script.get("type") or "").lower(), script.text or ""
    if kind.startswith("math/asciimath"):
        replace_by_text(script, _SPACES.sub(" ", source).strip())
        return
    if kind.startswith("math/mml"):
        root = etree.HTML(source) if source.strip() else None
        source = "" if root is None else tex_of(root)
    _replace(script, source, "mode=display" in kind, formulas)


def _write_mathml(math: etree._Element, formulas: Formulas) -> None:
    parent = math.getparent()
    if parent is None:
        return
    if next(math.iterdescendants(*_NO_FORMULA), None) is not None:
        math.tag = "div"
        return
    tex = _annotated_tex(math)
    if tex:
        _drop_drawn(parent)
    box = _box_of(math)
    is_display = _is_display(math, box)
    _replace(math if box is None else box, tex or tex_of(math), is_display, formulas)


def _box_of(math: etree._Element) -> etree._Element | None:
    """Return MathJax's container around a formula that assistive programs read, which holds its drawing too."""
    for box in math.iterancestors():
        if box.tag == "mjx-container" or "MathJax" in (box.get("class") or "").split():
            return box
        if box.tag not in ("mjx-assistive-mml", "span"):
            return None
    return None


def _is_display(math: etree._Element, box: etree._Element | None) -> bool:
    return (
        math.get("display") == "block"
        or (box is not None and box.get("display") == "true")
        or any(
            "katex-display" in (around.get("class") or "")
            for around, _ in zip(math.iterancestors(), "123", strict=False)
        )
    )


def _annotated_tex(math: etree._Element) -> str:
    annotations = (element for element in math.iter("annotation") if _is_latex(element.get("encoding") or ""))
    annotation = next(annotations, None)
    return (math.get("alttext") or "" if annotation is None else "".join(annotation.itertext())).strip()


def _is_latex(encoding: str) -> bool:
    return encoding.lower() in ("application/x-tex", "latex", "tex")


def _drop_drawn(box: etree._Element) -> None:
    """Drop the drawing beside the MathML of KaTeX and MediaWiki, which hides the MathML itself."""
    name = box.get("class") or ""
    if "katex" in name or "mwe-math" in name:
        box.attrib.pop("style", None)
        drawn = box.getnext()
        if drawn is not None and _DRAWN.search(drawn.get("class") or ""):
            replace_by_text(drawn, "")


def _tex_of_image(image: etree._Element) -> str:
    """Return the TeX that an image of a formula draws; "" for other images."""
    name, source, alternative = image.get("class") or "", image.get("src") or "", image.get("alt") or ""
    has_class, is_drawn = _IMAGE_CLASS.search(name), _IMAGE_SOURCE.search(source)
    if alternative and (is_drawn or (has_class and _LOOKS_LIKE_TEX.search(alternative))):
        return alternative
    if not is_drawn:
        return ""
    query = parse_qs(source.partition("?")[2])
    return next(iter(query.get("latex") or query.get("chl") or ()), "")
