"""Finds payment card numbers and IBANs: both carry a check digit, so few other numbers pass.

Sources: ISO/IEC 7812 (card numbers, Luhn's check), ISO 13616 and SWIFT's IBAN registry (lengths by country).
Notable: one 16-digit number in ten passes Luhn's check, so a card must also begin as one of the large issuers' do,
be as long as theirs, and be written as cards are: in one piece, or in the usual groups with one kind of separator.
"""

import re

from tasks.personal_data.placeholders import WORD, Spans, is_word

_ZONE = re.compile(r"[0-9](?:[ -]?+[0-9]){13,}+")
_AHEAD = 12  # characters after a zone that the pattern looks at
_CARD = re.compile(
    rf"""
    (?:[0-9]{{4}}(?P<four>[ -])[0-9]{{4}}(?P=four)[0-9]{{4}}(?P=four)[0-9]{{4}}
     | [0-9]{{4}}(?P<six>[ -])[0-9]{{6}}(?P=six)[0-9]{{4,5}}
     | [0-9]{{14,19}}+)
    (?![ -]?[(+\ ]{{0,3}}(?:[0-9]|\[(?:CARD|PHONE))|{WORD}|[.,][0-9])
    """,
    re.VERBOSE,
)
_BEFORE_CARD = re.compile(rf"(?:{WORD}|[+.,/=#%&-]|[0-9][ -]|\[(?:CARD|PHONE)\][ -]?)\Z")
_ISSUERS = re.compile(
    r"""
      4[0-9]{15} | 5[1-5][0-9]{14} | (?:222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}
    | 3[47][0-9]{13} | (?:30[0-5]|36[0-9]|3[89][0-9])[0-9]{11} | 35(?:2[89]|[3-8][0-9])[0-9]{12}
    | (?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12} | 62[0-9]{14,17}
    """,
    re.VERBOSE,
)  # Visa, Mastercard twice, American Express, Diners Club, JCB, Discover, UnionPay

_IBAN_START = re.compile(r"[A-Z]{2}[0-9]{2}(?= ?[0-9A-Z])")
_IBAN_LENGTHS_BY_COUNTRY = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
    "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 "
    "PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 "
    "YE30"
)
_IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBAN_LENGTHS_BY_COUNTRY.split()}


def find_card_numbers(text: str) -> Spans:
    """Return where the payment card numbers of `text` are."""
    return [
        match.span()
        for zone in _ZONE.finditer(text)
        for match in _CARD.finditer(text, zone.start(), zone.end() + _AHEAD)
        if match.end() <= zone.end() and _is_card(text, match)
    ]


def _is_card(text: str, match: re.Match[str]) -> bool:
    digits = match.group().replace(" ", "").replace("-", "")
    if not _ISSUERS.fullmatch(digits) or not _passes_luhn(digits) or len(set(digits)) < 2:
        return False
    return not _BEFORE_CARD.search(text, max(0, match.start() - 9), match.start())


def _passes_luhn(digits: str) -> bool:
    """Return whether the last digit is the check digit of those before it."""
    doubled = (2 * int(digit) for digit in digits[-2::-2])
    return (sum(map(int, digits[::-2])) + sum(value - 9 * (value > 9) for value in doubled)) % 10 == 0


def find_ibans(text: str) -> Spans:
    """Return where the IBANs of `text` are."""
    spans: Spans = []
    for match in _IBAN_START.finditer(text):
        start = match.start()
        before = text[start - 1 : start]
        if (spans and start < spans[-1][1]) or is_word(before) or before in (".", "-", "/", "+"):
            continue
        if (end := _iban_end(text, start)) is not None:
            spans.append((start, end))
    return spans


def _iban_end(text: str, start: int) -> int | None:
    """Return where the IBAN that begins here ends; None where there is none. Single spaces may stand inside."""
    length = _IBAN_LENGTHS.get(text[start : start + 2])
    if length is None:
        return None
    characters: list[str] = []
    end = start
    for character in text[start : start + 2 * length]:
        if len(characters) == length:
            break
        if character != " " or text[end - 1] == " ":
            if not (character.isascii() and (character.isdigit() or character.isupper())):
                return None
            characters.append(character)
        end += 1
    if len(characters) < length or is_word(text[end : end + 1]):
        return None
    rearranged = characters[4:] + characters[:4]
    return end if int("".join(str(int(character, 36)) for character in rearranged)) % 97 == 1 else None
