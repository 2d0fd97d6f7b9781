"""Whether a reply gives an answer: the answer's words and numbers, together and in order.

Notable:
- Words are compared without regard to case and punctuation, but `C++`, `C#` and `C` are three.
- Numbers are compared as numbers: 1,500, 1 500 and 1.5e3 are one; 5 is none of 2.5, 500, -5 and 5 million. A notation
  that is read in two ways, 1.500, may be either.
- A percentage or an amount of money needs its unit in the reply, as a sign or as a word; a bare number may have any.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

_CURRENCY = "$\u00a2-\u00a5\u20a0-\u20c0"
_UNITS = {
    "%": ("percent", "pct"),
    "$": ("dollar", "dollars", "usd"),
    "\u20ac": ("euro", "euros", "eur"),
    "\u00a3": ("pound", "pounds", "gbp"),
    "\u00a5": ("yen", "jpy", "yuan", "cny"),
    "\u20b9": ("rupee", "rupees", "inr"),
}
_UNIT_OF_WORD = {word: unit for unit, words in _UNITS.items() for word in words}
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_NUMBER = re.compile(
    rf"(?P<sign>(?<![\w)%])[-\u2013])?(?:(?P<before>[{_CURRENCY}]) ?(?P<inner>-)?)?"
    r"(?:(?P<time>\d+(?::\d+)+)"
    r"|(?:(?P<whole>\d{1,3}) )?(?<![\d/])(?P<over>\d{1,9})/(?P<under>[1-9]\d{0,8})(?![/\d])"
    r"|(?P<digits>(?:(?<![\w.,])\.)?\d+(?:[.,']\d+| \d{3}(?!\d))*)"
    r"(?:e(?P<e>[-+]?\d{1,3})(?!\w)| ?[x\u00d7\u00b7*] ?10(?:\^|\*\*)(?P<of_ten>[-+]?\d{1,3})(?!\d)"
    r"|(?:\^|\*\*)(?P<power>[-+]?\d{1,3})(?!\d))?)"
    rf"(?: ?(?P<after>[%{_CURRENCY}]))?"
)
_WORD_SIGN = re.compile(r"\+\+|#|\+(?!\w)")
_ORDINAL = re.compile(r"(?:st|nd|rd|th|s|d)(?!\w)")
_SUPERSCRIPT = re.compile("(?<=10)[\u2070\u00b9\u00b2\u00b3\u2074-\u207b]+")
_LONGEST = 40
"""Characters of the longest notation that is read as a number."""
_LARGEST_POWER = 400
_LONGEST_TEXT = 20_000
"""Characters that are compared: NFKC takes the square of the marks on one letter."""


@dataclass(frozen=True)
class _Number:
    values: frozenset[Fraction]
    """What the notation may mean."""
    unit: str
    """`%`, a sign of a currency, or nothing."""


_Token = str | _Number


def answers(reply: str, answer: str) -> bool:
    """Return whether `reply` contains the words and numbers of `answer`, together and in order."""
    wanted = _tokens(answer, units=False)
    if not wanted:
        return False
    for found in (_tokens(reply, units=True), _tokens(reply, units=False)):
        windows = (found[at : at + len(wanted)] for at in range(len(found) - len(wanted) + 1))
        if any(all(map(_gives, window, wanted)) for window in windows):
            return True
    return False


def _gives(found: _Token, wanted: _Token) -> bool:
    if isinstance(found, _Number) and isinstance(wanted, _Number):
        return bool(found.values & wanted.values) and wanted.unit in ("", found.unit)
    return found == wanted


def _tokens(text: str, units: bool) -> list[_Token]:
    """Return the words and numbers of a text; the words for a number's unit are among them with `units`."""
    tokens: list[_Token] = []
    for token in _scanned(_normalised(text)):
        last = tokens[-1] if tokens else None
        if isinstance(token, _Number):
            if last == "minus" and not (len(tokens) > 1 and isinstance(tokens[-2], _Number)):
                tokens.pop()
                token = _Number(frozenset(-value for value in token.values), token.unit)
            elif isinstance(last, str) and last in ("usd", "eur", "gbp", "jpy", "cny", "inr"):
                token = _Number(token.values, _UNIT_OF_WORD[last])
                if not units:
                    tokens.pop()
        elif isinstance(last, _Number):
            if token in _SCALES:
                tokens[-1] = _Number(frozenset(value * 10 ** _SCALES[token] for value in last.values), last.unit)
                continue
            if token in _UNIT_OF_WORD:
                tokens[-1] = _Number(last.values, _UNIT_OF_WORD[token])
                if not units:
                    continue
        tokens.append(token)
    return tokens


def _normalised(text: str) -> str:
    """Return the text in NFKC and lower case, with ASCII digits, fractions as 1/2 and powers of ten as 10^6."""
    text = text[:_LONGEST_TEXT]
    text = "".join(
        f" {unicodedata.normalize('NFKC', character)}"
        if unicodedata.decomposition(character).startswith("<fraction>")
        else character
        for character in _SUPERSCRIPT.sub(lambda power: f"^{power[0]}", text)
    )
    text = unicodedata.normalize("NFKC", text).casefold().replace("per cent", "percent")
    text = text.translate(str.maketrans("\u2044\u2212\u2019\u066b\u066c", "/-'.,"))
    return re.sub(r"[^\W0-9_]", lambda found: str(unicodedata.digit(found[0], found[0])), text)


def _scanned(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        if found := _NUMBER.match(text, at):
            ordinal = _ORDINAL.match(text, found.end())
            if ordinal and found["digits"]:
                yield found["digits"] + ordinal[0]
            else:
                yield from _numbers(found)
            at = (ordinal or found).end()
        elif _is_of_word(text[at]):
            end = at + 1
            while end < len(text) and _is_of_word(text[end]):
                end += 1
            sign = _WORD_SIGN.match(text, end)
            end = sign.end() if sign else end
            yield text[at:end]
            at = end
        else:
            at += 1


def _is_of_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def _numbers(found: re.Match[str]) -> list[_Token]:
    """Return what a match of `_NUMBER` stands for: most often one number."""
    unit = found["before"] or found["after"] or ""
    if found["time"]:
        return [":".join(str(int(part[:_LONGEST])) for part in found["time"].split(":"))]
    if found["over"]:
        readings = {int(found["whole"] or 0) + Fraction(int(found["over"]), int(found["under"]))}
    else:
        digits, of_ten, power = found["digits"], int(found["e"] or found["of_ten"] or 0), int(found["power"] or 1)
        if len(digits) > _LONGEST or max(abs(of_ten), abs(power)) > _LARGEST_POWER:
            return [found[0]]
        readings = _readings(digits)
        if not readings:
            return _in_pieces(digits)
        readings = {value**power * Fraction(10) ** of_ten for value in readings if value or power >= 0}
    negative = bool(found["sign"] or found["inner"])
    return [_Number(frozenset(-value if negative else value for value in readings), unit)]


def _readings(digits: str) -> set[Fraction]:
    """Return what digits with separators may mean as one number; nothing where they are several."""
    groups, separators = re.split(r"\D", digits), re.findall(r"\D", digits)
    joined, decimal = "".join(groups), Fraction(f"{''.join(groups[:-1]) or '0'}.{groups[-1]}") if separators else None
    last = separators[-1] if separators else ""
    if not separators:
        return {Fraction(joined)}
    if separators.count(last) == 1 and len(separators) > 1:
        whole, kinds = groups[:-1], set(separators[:-1])
        return {decimal} if decimal and last in ".," and len(kinds) == 1 and _are_thousands(whole) else set()
    if len(set(separators)) > 1:
        return set()
    thousands = {Fraction(joined)} if _are_thousands(groups) else set()
    if len(separators) > 1 or last in " '" or (last == "," and thousands):
        return thousands
    return {decimal, *thousands} if decimal is not None else thousands


def _are_thousands(groups: list[str]) -> bool:
    """Return whether groups of digits are those of a large number, in thousands or as in India."""
    first, *others = groups
    right = 1 <= len(first) <= 3 and not first.startswith("0") and len(others[-1]) == 3
    return right and (all(len(group) == 3 for group in others) or all(len(group) == 2 for group in others[:-1]))


def _in_pieces(digits: str) -> list[_Token]:
    """Return the numbers of a list or a date; the whole where it is a version or an address."""
    pieces = re.split(r"[ ,']", digits)
    if len(pieces) > 1:
        return [token for piece in pieces for token in _piece(piece)]
    return _piece(digits)


def _piece(digits: str) -> list[_Token]:
    groups = digits.split(".")
    if readings := _readings(digits):
        return [_Number(frozenset(readings), "")]
    is_date = max(map(len, groups)) == 4
    return [_Number(frozenset({Fraction(group)}), "") for group in groups] if is_date else [digits]
