"""FineWeb's rules as we read them for texts with structure: over the prose, not over code, tables and formulas.

Notable:
- FineWeb's rules were set on plain text of articles. In Markdown blank lines alone are repeated lines to them, C4 drops
  every page with a curly bracket in its code, and documentation fails for the short lines of its examples.
- The signals are those of FineWeb's families, measured on the prose (`tasks.filter.prose`). Headings have no part in
  it; an item of a list is a line, and what was a bullet there counts as one.
- Words are counted in the whole text, since a page of code has few of them in its prose.
- Its cleaning takes out the lines of prose that C4's takes out as notices, and the marks of citations. Short lines
  stay, which are headings and items here, and so do lines that only speak of JavaScript.
- docs/log.md has the kept shares by kind of page on which the limits that differ from FineWeb's were chosen.
"""

import re
from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Final

import pyarrow as pa

from tasks.dataset.rules import Threshold
from tasks.filter.prose import Prose, lines_by_kind, may_have_structure, prose_of
from tasks.filter.rules import c4, fineweb, gopher_quality, gopher_repetition
from tasks.filter.text_units import TextUnits, ratio

_PREFIX = "prose_"
_NEEDS_JAVASCRIPT = re.compile(
    r"(?:enable|activate|turn on|requires?|without|disabled?).{0,40}\bjavascript"
    r"|\bjavascript.{0,40}(?:disabled|enabled|required)"
)
_OF_THE_WHOLE = ("gopher_min_words", "gopher_max_words")
_OTHER_LIMITS: Final[Mapping[str, float]] = {"fineweb_duplicate_line_chars": 0.1}  # as in FineWeb2
_FINEWEB_RULES = (
    *gopher_repetition.LINE_RULES,
    *gopher_repetition.NGRAM_RULES,
    *gopher_quality.RULES,
    gopher_quality.STOP_WORD_OCCURRENCES_RULE,
    *c4.RULES,
    *fineweb.RULES,
)
_KINDS: Final = gopher_repetition.SIGNALS | gopher_quality.SIGNALS | c4.SIGNALS | fineweb.SIGNALS


def _over_prose(rule: Threshold) -> Threshold:
    if rule.name in _OF_THE_WHOLE:
        return rule
    limit = _OTHER_LIMITS.get(rule.name, rule.limit)
    return replace(rule, name=_PREFIX + rule.name, signal=_PREFIX + rule.signal, limit=limit)


RULES: Final = tuple(map(_over_prose, _FINEWEB_RULES))
SIGNALS: Final = {
    "structure_ratio": pa.float64(),  # share of the characters in code, tables and formulas on lines of their own
    **{rule.signal: _KINDS[rule.signal.removeprefix(_PREFIX)] for rule in RULES if rule.signal.startswith(_PREFIX)},
}
"""What `measure_structured` gives, with the type of its column."""


def measure_structured(units: TextUnits, stop_words: Set[str], signals: Mapping[str, float]) -> dict[str, float]:
    """Measure `SIGNALS` of a text whose `signals` by FineWeb's families are known; the same where it is all prose."""
    if not may_have_structure(units.text) and "\n\n" not in units.text:
        return {"structure_ratio": 0.0} | {
            name: signals[name.removeprefix(_PREFIX)] for name in SIGNALS if name.startswith(_PREFIX)
        }
    prose = prose_of(units.text)
    measured = {f"{_PREFIX}{name}": value for name, value in _measure(prose, stop_words).items()}
    measured["structure_ratio"] = ratio(prose.n_chars_elsewhere, len(units.text))
    return {name: measured[name] for name in SIGNALS}


def remove_notices(text: str) -> str:
    """Return a text without the lines of prose that are notices of a site, and without marks of citations in prose."""
    kept: list[str] = []
    for kind, line in lines_by_kind(text):
        if kind in ("prose", "item", "heading"):
            lowered = line.lower()
            if kind != "heading" and (_NEEDS_JAVASCRIPT.search(lowered) or _speaks_of_policies(lowered)):
                continue
            line = c4.CITATION.sub("", line) if "[" in line else line
        if kind != "blank" or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip("\n")


def _speaks_of_policies(lowered: str) -> bool:
    return any(phrase in lowered for phrase in c4.POLICY_PHRASES)


def _measure(prose: Prose, stop_words: Set[str]) -> dict[str, float]:
    units = TextUnits(prose.text)
    cleaned = c4.clean_lines(units)
    return {
        **gopher_quality.measure_quality(units, stop_words),
        **gopher_repetition.measure_repetition(units),
        **cleaned.signals,
        **fineweb.measure_fineweb(cleaned),
        "bullet_lines_ratio": ratio(prose.n_items, len(units.lines)),
    }
