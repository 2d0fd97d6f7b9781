"""Write a page's formulas and exponents as text, where the extractor would lose them or run them together.

Notable: LaTeX in script elements keeps its own notation, as trafilatura gives the LaTeX that MathML carries. MathML
without it is written in a line: a/b, x^2, √(x). Digits that stand high or low become the characters for these, since
10<sup>6</sup> is no 106; letters that do so in abbreviations and ordinals stay as they are.
"""

import re

from lxml import etree

_HIGH = str.maketrans("0123456789+-−=()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾")
_LOW = str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")
_SIGNED_DIGITS = re.compile(r"[+\-−=()\s]*\d[\d+\-−=()\s]*|[+\-−]")
_EXPONENT = re.compile(r"[b-cf-np-qt-zA-Z]|(?=.*[\d+\-−*/·=])[\w+\-−*/·=().,\s]+")
_BASE = re.compile(r"(?:(?:^|[^^\W\d_]|.)?[)\]\d]|(?:^|[^\w])\w)\Z")
_SPACES = re.compile(r"\s+")
_INVISIBLE = str.maketrans("", "", "\u2061\u2062\u2063\u2064\u200b")


def write_formulas(
    scripts: list[etree._Element], formulas: list[etree._Element], indexes: list[etree._Element]
) -> None:
    """Replace LaTeX in scripts, MathML, and raised or lowered digits by their text."""
    for script in scripts:
        if (script.get("type") or "").lower().startswith("math/tex"):
            _write_tex(script)
    for formula in formulas:
        _write_mathml(formula)
    for index in indexes:
        _write_index(index)


def replace_by_text(element: etree._Element, text: str) -> None:
    """Make an element of text alone; to join it with the text around takes the square of the number of elements."""
    for child in list(element):
        element.remove(child)
    element.attrib.clear()
    element.tag, element.text = "span", text


def _write_tex(script: etree._Element) -> None:
    previous = script.getprevious()
    while previous is not None and "MathJax" in (previous.get("class") or "") and not (previous.tail or "").strip():
        replace_by_text(previous, "")  # the formula as it was drawn, character by character
        previous = previous.getprevious()
    latex = _SPACES.sub(" ", script.text or "").strip()
    is_block = "mode=display" in (script.get("type") or "")
    replace_by_text(script, (f"\\[{latex}\\]" if is_block else f"\\({latex}\\)") if latex else "")


def _write_mathml(math: etree._Element) -> None:
    parent = math.getparent()
    if parent is None:
        return
    has_latex = math.get("alttext") or any(
        (element.get("encoding") or "").lower() == "application/x-tex" for element in math.iter("annotation")
    )
    drawn = parent.getnext()
    if has_latex:
        if "katex" in (parent.get("class") or "") and drawn is not None and "katex-html" in (drawn.get("class") or ""):
            replace_by_text(drawn, "")
        return
    replace_by_text(math, _SPACES.sub(" ", _linear(math)).strip().translate(_INVISIBLE))


def _linear(element: etree._Element, depth: int = 0) -> str:
    """Return the text of MathML in a line."""
    if not isinstance(element.tag, str) or depth > 50:
        return ""
    tag = element.tag.rpartition(":")[2].lower()
    if tag in ("annotation", "annotation-xml"):
        return ""
    parts = [_linear(child, depth + 1) for child in element]
    if not len(element):
        return (element.text or "").strip()
    first, second, third = (*parts, "", "", "")[:3]
    forms = {
        "mfrac": f"{_grouped(first)}/{_grouped(second)}",
        "msup": f"{_grouped(first)}^{_grouped(second)}",
        "mover": f"{_grouped(first)}^{_grouped(second)}",
        "msub": f"{first}_{_grouped(second)}",
        "munder": f"{first}_{_grouped(second)}",
        "msubsup": f"{first}_{_grouped(second)}^{_grouped(third)}",
        "munderover": f"{first}_{_grouped(second)}^{_grouped(third)}",
        "msqrt": f"√({''.join(parts)})",
        "mroot": f"({first})^(1/{_grouped(second)})",
        "mfenced": f"{element.get('open', '(')}{', '.join(parts)}{element.get('close', ')')}",
        "mtable": "; ".join(parts),
        "mtr": ", ".join(parts),
    }
    return forms.get(tag, (element.text or "").strip() + "".join(parts))


def _grouped(text: str) -> str:
    return text if len(text) <= 1 or text.isalnum() else f"({text})"


def _write_index(element: etree._Element) -> None:
    """Write what stands high or low so that it does not run together with what it belongs to."""
    text = "".join(element.itertext()).strip()
    if not text or len(text) > 40 or element.getparent() is None:
        return
    is_high = element.tag == "sup"
    if _SIGNED_DIGITS.fullmatch(text):
        index = text.translate(_HIGH if is_high else _LOW)
    elif _EXPONENT.fullmatch(text) and _BASE.search(_text_before(element)):
        index = ("^" if is_high else "_") + _grouped(text)
    else:
        return
    for child in list(element):
        element.remove(child)
    element.text = index


def _text_before(element: etree._Element) -> str:
    previous = element.getprevious()
    if previous is None:
        return element.getparent().text or ""
    return previous.tail or "".join(previous.itertext())[-3:]
