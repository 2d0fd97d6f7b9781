"""Write a page's formulas as text, where the extractor would lose them.

Notable: LaTeX in scripts, in MathML and beside images keeps its own notation, between \\( and \\). MathML without it is
written in a line: a/b, x^2, √(x).
"""

import re

from lxml import etree

_DISPLAY_STYLE = re.compile(r"\{\\displaystyle (.*)\}")  # MediaWiki has it around each formula
_DRAWN = re.compile("katex-html|mwe-math-fallback")
_INDEX = re.compile(r"[_^]\w+\Z")
_NO_FORMULA = ("p", "div", "table", "ul", "ol")  # math that was never closed has them
_SPACES = re.compile(r"\s+")
_INVISIBLE = str.maketrans("", "", "\u2061\u2062\u2063\u2064\u200b")


def write_formulas(scripts: list[etree._Element], formulas: list[etree._Element], images: list[etree._Element]) -> None:
    """Replace formulas in scripts, in MathML and in images by their text."""
    for script in scripts:
        if (script.get("type") or "").lower().startswith("math/"):
            _write_script(script)
    for formula in formulas:
        _write_mathml(formula)
    for image in images:
        if latex := image.get("alt"):  # it is gone where the image only draws what MathML has said
            replace_by_text(image, _inline_latex(latex))


def replace_by_text(element: etree._Element, text: str) -> None:
    """Make an element of text alone; to join it with the text around takes the square of the number of elements."""
    for child in list(element):
        element.remove(child)
    element.attrib.clear()
    element.tag, element.text = "span", text


def _write_script(script: etree._Element) -> None:
    previous = script.getprevious()
    while previous is not None and "MathJax" in (previous.get("class") or "") and not (previous.tail or "").strip():
        replace_by_text(previous, "")  # the formula as it was drawn, character by character
        previous = previous.getprevious()
    kind, source = (script.get("type") or "").lower(), script.text or ""
    if kind.startswith("math/mml"):
        root = etree.HTML(source) if source.strip() else None
        text = "" if root is None else _on_a_line(root)
    elif kind.startswith("math/tex") and "mode=display" in kind:
        text = f"\\[{_SPACES.sub(' ', source).strip()}\\]"
    elif kind.startswith("math/tex"):
        text = _inline_latex(source)
    else:
        text = _SPACES.sub(" ", source).strip()
    replace_by_text(script, text if source.strip() else "")


def _inline_latex(source: str) -> str:
    latex = _DISPLAY_STYLE.sub(r"\1", _SPACES.sub(" ", source).strip())
    return f"\\({latex}\\)" if latex else ""


def _write_mathml(math: etree._Element) -> None:
    parent = math.getparent()
    if parent is None:
        return
    if next(math.iterdescendants(*_NO_FORMULA), None) is not None:
        math.tag = "div"
    elif latex := _latex_of(math):
        _drop_drawn(parent)
        replace_by_text(math, _inline_latex(latex))
    else:
        replace_by_text(math, _on_a_line(math))


def _latex_of(math: etree._Element) -> str:
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


def _on_a_line(math: etree._Element) -> str:
    return _SPACES.sub(" ", _linear(math)).strip().translate(_INVISIBLE)


def _linear(element: etree._Element, depth: int = 0) -> str:
    """Return the text of MathML in a line."""
    if not isinstance(element.tag, str) or depth > 50:
        return ""
    tag = element.tag.rpartition(":")[2].lower()
    if tag in ("annotation", "annotation-xml"):
        return ""
    if not len(element):
        text = element.text or ""
        return " " if tag == "mspace" else text if tag == "mtext" else text.strip()
    parts = [_linear(child, depth + 1) + _loose(child) for child in element]
    first, second, third = (*parts, "", "", "")[:3]
    forms = {
        "mfrac": f"{grouped(first)}/{grouped(second)}",
        "msup": f"{grouped(first)}^{grouped(second)}",
        "mover": f"{grouped(first)}^{grouped(second)}",
        "msub": f"{first}_{grouped(second)}",
        "munder": f"{first}_{grouped(second)}",
        "msubsup": f"{first}_{grouped(second)}^{grouped(third)}",
        "munderover": f"{first}_{grouped(second)}^{grouped(third)}",
        "msqrt": f"√({''.join(parts)})",
        "mroot": f"({first})^(1/{grouped(second)})",
        "mfenced": f"{element.get('open', '(')}{', '.join(parts)}{element.get('close', ')')}",
        "mtable": "; ".join(parts),
        "mtr": ", ".join(parts),
    }
    return forms.get(tag, (element.text or "").strip() + _joined(parts))


def _loose(element: etree._Element) -> str:
    """Return the words behind an element, which are none of MathML's but of a formula that was never closed."""
    words = (element.tail or "").strip()
    return f" {words} " if words else ""


def _joined(parts: list[str]) -> str:
    """Return parts in a row, with a space where a letter or digit would become part of the index before it."""
    text = ""
    for part in parts:
        text += " " + part if part[:1].isalnum() and _INDEX.search(text) else part
    return text


def grouped(text: str) -> str:
    """Return the text in brackets unless it is one number or word."""
    return text if len(text) <= 1 or text.isalpha() or text.isdigit() else f"({text})"
