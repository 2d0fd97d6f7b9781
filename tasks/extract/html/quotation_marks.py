"""Write the quotation marks that browsers draw around q elements, by the language that the page declares there."""

from lxml import etree

_ENGLISH = "“”‘’"
# By language, as the Unicode CLDR has them: outer pair, inner pair.
_MARKS = {
    **dict.fromkeys(("de", "cs", "sk", "sl", "hr", "is", "lt", "bg", "sq"), "„“‚‘"),
    **dict.fromkeys(("fr", "it", "es", "pt-pt", "ca", "el", "hy"), "«»“”"),
    **dict.fromkeys(("ru", "uk", "be"), "«»„“"),
    **dict.fromkeys(("ja", "zh-hant", "zh-tw", "zh-hk"), "「」『』"),
    **dict.fromkeys(("sv", "fi"), "””’’"),
    **dict.fromkeys(("pl", "ro", "hu", "sr", "bs"), "„”«»"),
    **dict.fromkeys(("nb", "nn", "no"), "«»‘’"),
    "ar": "”“’‘",
    **dict.fromkeys(("fa", "az"), "«»‹›"),
    "he": "””’’",
    "et": "„“«»",
}


def write_quotation_marks(quotations: list[etree._Element]) -> None:
    """Make spans of q elements, in their order in the page, with marks around their text."""
    for quotation in quotations:
        marks = _marks_of(quotation)
        inner = 2 * (sum(1 for _ in quotation.iterancestors("q")) % 2)
        start, end = marks[inner], marks[inner + 1]
        quotation.text = start + (quotation.text or "").lstrip()
        if len(quotation):
            quotation[-1].tail = (quotation[-1].tail or "").rstrip() + end
        else:
            quotation.text = quotation.text.rstrip() + end
    for quotation in quotations:
        quotation.tag = "span"


def _marks_of(element: etree._Element) -> str:
    declared = (box.get("lang") for box in (element, *element.iterancestors()))
    language = next((name.lower().replace("_", "-") for name in declared if name), "")
    return _MARKS.get(language) or _MARKS.get(language.partition("-")[0], _ENGLISH)
