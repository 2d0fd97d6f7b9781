"""TeX for MathML without a TeX annotation.

Notable: what TeX names otherwise than by its character gets its command where readers of TeX expect one (Greek letters,
relations, arrows, large operators); other characters stay themselves, as modern TeX reads them.
"""

import re
import unicodedata
from typing import Final

from lxml import etree

_SPACES = re.compile(r"\s+")
_INVISIBLE = str.maketrans("", "", "\u2061\u2062\u2063\u2064\u200b")
_MOST_DEPTH = 60
_COMMAND_LIST = """
α alpha  β beta  γ gamma  δ delta  ε epsilon  ζ zeta  η eta  θ theta  ι iota  κ kappa  λ lambda  μ mu  ν nu
ξ xi  π pi  ρ rho  σ sigma  τ tau  υ upsilon  φ phi  χ chi  ψ psi  ω omega  Γ Gamma  Δ Delta  Θ Theta
Λ Lambda  Ξ Xi  Π Pi  Σ Sigma  Υ Upsilon  Φ Phi  Ψ Psi  Ω Omega  ϵ epsilon  ϑ vartheta  ϖ varpi  ϱ varrho
ς varsigma  ϕ phi  ∑ sum  ∏ prod  ∐ coprod  ∫ int  ∬ iint  ∭ iiint  ∮ oint  ⋃ bigcup  ⋂ bigcap  ⨁ bigoplus
⨂ bigotimes  ≤ leq  ≥ geq  ≠ neq  ≈ approx  ≡ equiv  ∼ sim  ≃ simeq  ≅ cong  ∝ propto  ≪ ll  ≫ gg  ∈ in
∉ notin  ∋ ni  ⊂ subset  ⊃ supset  ⊆ subseteq  ⊇ supseteq  ∪ cup  ∩ cap  ∧ land  ∨ lor  ¬ neg  ∖ setminus
→ rightarrow  ← leftarrow  ↔ leftrightarrow  ⇒ Rightarrow  ⇐ Leftarrow  ⇔ Leftrightarrow  ↦ mapsto  ↑ uparrow
↓ downarrow  ⟶ longrightarrow  ⟹ Longrightarrow  ⟺ Longleftrightarrow  × times  ÷ div  ± pm  ∓ mp  ⋅ cdot
· cdot  ∘ circ  ∗ ast  ⊕ oplus  ⊗ otimes  ⊙ odot  ⋆ star  ∙ bullet  ∞ infty  ∂ partial  ∇ nabla  ∀ forall
∃ exists  ∄ nexists  ∅ emptyset  √ surd  ℓ ell  ℏ hbar  ℜ Re  ℑ Im  ℘ wp  ′ prime  … ldots  ⋯ cdots  ⋮ vdots
⋱ ddots  ⟨ langle  ⟩ rangle  ⌈ lceil  ⌉ rceil  ⌊ lfloor  ⌋ rfloor  ‖ |  ∣ mid  ∥ parallel  ⊥ perp  ⊤ top
⊢ vdash  ⊨ models
"""
_COMMANDS: Final = dict(zip(_COMMAND_LIST.split()[::2], _COMMAND_LIST.split()[1::2], strict=True))
_ESCAPED = {**{character: f"\\{character}" for character in "{}%#&$"}, "−": "-", "\\": "\\backslash "}
_BOARDS: Final = {"double-struck": "mathbb", "bold": "mathbf", "fraktur": "mathfrak", "script": "mathcal"}
_LETTER_NAMES: Final = {
    "MATHEMATICAL DOUBLE-STRUCK": "mathbb",
    "DOUBLE-STRUCK": "mathbb",
    "MATHEMATICAL BOLD": "mathbf",
    "MATHEMATICAL FRAKTUR": "mathfrak",
    "MATHEMATICAL SCRIPT": "mathcal",
    "SCRIPT": "mathcal",
}
_FUNCTIONS = frozenset(
    [
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "tanh",
        "log",
        "ln",
        "lg",
        "exp",
        "lim",
        "liminf",
        "limsup",
        "max",
        "min",
        "sup",
        "inf",
        "det",
        "dim",
        "ker",
        "gcd",
        "deg",
        "arg",
        "hom",
        "Pr",
    ]
)
_ACCENTS: Final = {
    **dict.fromkeys("^ˆ", "hat"),
    **dict.fromkeys("~˜", "tilde"),
    **dict.fromkeys("→⃗", "vec"),
    **dict.fromkeys("¯‾_―", "overline"),
    **dict.fromkeys("˙.", "dot"),
    "¨": "ddot",
    "ˇ": "check",
    "˘": "breve",
    "⏞": "overbrace",
}
_UNDER: Final = {"⏟": "underbrace", "_": "underline", "‾": "underline"}
_LIMITS = frozenset(
    ("\\sum", "\\prod", "\\coprod", "\\bigcup", "\\bigcap", "\\lim", "\\max", "\\min", "\\sup", "\\inf")
)


def tex_of(math: etree._Element) -> str:
    """Return the TeX of an element of MathML, on one line."""
    return _SPACES.sub(" ", _tex(math)).strip().translate(_INVISIBLE)


def _tex(element: etree._Element, depth: int = 0) -> str:
    if not isinstance(element.tag, str) or depth > _MOST_DEPTH:
        return ""
    tag = element.tag.rpartition(":")[2].lower()
    if tag in ("annotation", "annotation-xml", "mphantom"):
        return ""
    if tag == "mspace":
        return " "
    if not len(element):
        return _token(tag, element.text or "", element.get("mathvariant") or "")
    parts = [_tex(child, depth + 1) + _loose(child) for child in element]
    if tag in ("mtable", "mtr", "mlabeledtr"):
        return _row_or_table(element, tag, parts)
    first, second, third = (*parts, "", "", "")[:3]
    forms = {
        "mfrac": f"\\frac{{{first}}}{{{second}}}",
        "msup": f"{_base(first)}^{_group(second)}",
        "msub": f"{_base(first)}_{_group(second)}",
        "msubsup": f"{_base(first)}_{_group(second)}^{_group(third)}",
        "munderover": f"{_base(first)}_{_group(second)}^{_group(third)}",
        "msqrt": f"\\sqrt{{{_joined(parts)}}}",
        "mroot": f"\\sqrt[{second}]{{{first}}}",
    }
    if tag in forms:
        return forms[tag]
    if tag in ("mover", "munder"):
        return _over_or_under(tag, first, second)
    if tag == "mfenced":
        return f"\\left{element.get('open', '(')}{', '.join(parts)}\\right{element.get('close', ')')}"
    if tag == "menclose":
        return f"\\overline{{{_joined(parts)}}}" if "top" in (element.get("notation") or "") else _joined(parts)
    return _joined([(element.text or "").strip(), *parts])


def _token(tag: str, text: str, variant: str) -> str:
    stripped = text.strip()
    if tag in ("mtext", "ms"):
        plain = _SPACES.sub(" ", text)
        return f"\\text{{{plain}}}" if any(map(str.isalpha, plain)) else plain
    if tag == "mi" and stripped in _FUNCTIONS:
        return f"\\{stripped}"
    if tag == "mo" and stripped in _FUNCTIONS:
        return f"\\{stripped}"
    if len(stripped) > 1 and tag == "mi" and stripped.isalpha():
        return f"\\operatorname{{{stripped}}}" if stripped.isascii() else _characters(stripped)
    written = _characters(stripped)
    board = _BOARDS.get(variant) if tag in ("mi", "mn") else None
    return f"\\{board}{{{written}}}" if board and len(stripped) == 1 else written


def _characters(text: str) -> str:
    return "".join(map(_character, text)) if not text.isalnum() or not text.isascii() else text


def _character(character: str) -> str:
    if command := _COMMANDS.get(character):
        return f"\\{command}"
    if escaped := _ESCAPED.get(character):
        return escaped
    if character.isalpha() and not character.isascii():
        plain = unicodedata.normalize("NFKC", character)
        if len(plain) == 1 and plain != character:
            name = unicodedata.name(character, "")
            board = next((board for begin, board in _LETTER_NAMES.items() if name.startswith(begin + " ")), None)
            inner = _COMMANDS.get(plain)
            inner = f"\\{inner}" if inner else plain
            return f"\\{board}{{{inner}}}" if board and "ITALIC" not in name else inner
    return character


def _over_or_under(tag: str, base: str, other: str) -> str:
    accents = _ACCENTS if tag == "mover" else _UNDER
    plain = {"\\rightarrow": "→"}.get(other, other)
    if accent := accents.get(plain):
        return f"\\{accent}{{{base}}}"
    if base in _LIMITS or base.startswith(("\\underbrace", "\\overbrace")):
        return f"{base}{'^' if tag == 'mover' else '_'}{_group(other)}"
    return f"\\{'overset' if tag == 'mover' else 'underset'}{{{other}}}{{{base}}}"


def _row_or_table(element: etree._Element, tag: str, parts: list[str]) -> str:
    if tag == "mtr":
        return " & ".join(parts)
    if tag == "mlabeledtr":  # its label comes first
        return f"{' & '.join(parts[1:])} {parts[0]}"
    if len(parts) == 1 and len(element[0]) <= 2:
        return parts[0]
    return "\\begin{matrix}" + " \\\\ ".join(parts) + "\\end{matrix}"


def _loose(element: etree._Element) -> str:
    """Return the words behind an element, which are none of MathML's but of a formula that was never closed."""
    words = (element.tail or "").strip()
    return f" {words} " if words else ""


def _joined(parts: list[str]) -> str:
    """Return parts in a row, with a space where a letter would become part of the command before it."""
    text = ""
    for part in parts:
        needs_space = part[:1].isalpha() and re.search(r"\\[A-Za-z]+\Z", text[-24:])
        text += " " + part if needs_space else part
    return text


def _base(text: str) -> str:
    return text if len(text) <= 1 or re.fullmatch(r"\\?\w+|\\[a-z]+\{[^{}]*\}|[^{}]*[\w)\]|]", text) else f"{{{text}}}"


def _group(text: str) -> str:
    return text if len(text) == 1 else f"{{{text}}}"
