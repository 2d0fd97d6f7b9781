"""Finds telephone numbers: international ones, those after a word such as "Tel.", and common national ways of writing.

Sources: ITU-T E.164 and its list of assigned country codes; the North American Numbering Plan.
Notable:
- Precise rather than greedy. A row of digits alone is no telephone number, however long: it must begin with "+" and an
  assigned code, or stand right after a word that announces it, or be grouped as one country writes its numbers.
- The table of codes is ours and not a library's, whose data change with each release: the same text gives the same
  finds everywhere. It knows lengths, not which area codes are in use.
- Numbers are sought within zones, stretches of seven digits or more with little between them, so that ordinary text
  costs one quick scan. What is rejected is passed over as a whole, never searched for a shorter one in its middle.
"""

import re

from tasks.personal_data.placeholders import WORD, Spans, is_word

_BETWEEN = r"[ \u00a0.\-\u2010-\u2015/()]"
_ZONE = re.compile(rf"[0-9](?:{_BETWEEN}{{0,3}}+[0-9]){{6,}}+")

# The country codes by the shortest and the longest number after them, in digits.
_CODES = {
    (5, 7): "247 290 500 682 676 677 678 683 688 690 597 298 299 672 687",
    (5, 9): "27 358 685 686 40 46 252 376 421 508 681",
    (5, 13): "352 43 49",
    (6, 10): "53 95 98 880 375 386",
    (6, 12): "39 359 381 63 598",
    (7, 8): "238 239 246 248 269 291 297 592 673 674 680 691 692 241 599 670 675 853 961 965 975",
    (7, 9): "220 231 245 265 354 355 385 423 967 968",
    (7, 10): "44 48 61 230 243 254 263 267 353 372 960 31 501 503 507 595 679 974",
    (7, 11): "86 972 971 62",
    (8, 8): "45 47 216 222 223 226 227 228 232 235 236 253 257 266 268 350 356 357 370 371 373 374 389 505 "
    "509 800 808 973 993",
    (8, 9): "32 36 51 213 224 233 237 250 258 264 377 382 387 591 689 852 962 963",
    (8, 11): "20 56 60 64 84 378 506 850 855 856 964 970 976 57 65 92 502 504 593 886 977 383 66 81 82",
    (9, 9): "33 34 41 93 94 211 212 218 221 240 242 244 249 251 255 256 260 261 262 351 420 590 594 596 "
    "979 992 994 995 998",
    (9, 11): "380 881 966 996 55 870 234",
    (10, 10): "1 52 58 225 229 7 91 90 30",
    (10, 12): "54 878 882 883 888",
}
_LENGTHS = {code: lengths for lengths, codes in _CODES.items() for code in codes.split()}
_KEEP_ZERO = ("39", "225", "229", "241", "242", "378")
"""Codes under which a number may begin with 0; elsewhere that is the digit dialled only inside the country."""

_ANNOUNCEMENT = re.compile(
    r"""(?i:
      (?<!\w)(?:tel|tél|tlf|telephones?|téléphones?|telefone?|telefoni|telefonos?|teléfonos?|telefones|telefoon|puhelin
       |phones?|ph|fone|fon|fax
       |telefax|télécopie|telefaks|faks|mobile|mob|mobil|móvil|movil|portable|gsm|cell|cellphone|celular|cellulare|handy
       |whatsapp|viber|hotline|helpline|toll[ -]free|тел|телефоны?|факс|моб|τηλ|τηλέφωνο|हेल्पलाइन|फोन|هاتف|تلفن)
      (?:[ ]?(?:no|nr|number|num|numero|número|numéro|n°|nummer))?
    | 电话 | 電話 | 手机 | 手機 | 传真 | 傳真 | 热线 | 熱線 | 전화 | 팩스 | 携帯 | ☎ | ☏ | ✆ | 📞 | 📱
    ) (?:番号|번호|号码|號碼)? [)）]?[ \u00a0]?[.:：]{0,2}[ \u00a0\t\n]{0,3}\(?\Z""",
    re.VERBOSE,
)
_LOOK_BEHIND = 32
_MAX_ANNOUNCED = 12
_MAX_DIGITS = 15
_GROUP = re.compile("[0-9]+")
_WIDE = re.compile(r"[ \u00a0]*/[ \u00a0]*|[ \u00a0]+[\-\u2010-\u2015][ \u00a0]+")  # may separate two numbers
_NORTH_AMERICAN = re.compile(r"[2-9][0-9]{2}[2-9][0-9]{6}")
_DATE = re.compile(r"(?:[0-9]{1,2}([./-])[0-9]{1,2}\1[0-9]{4}|(?:19|20)[0-9]{2}([./-])[0-9]{1,2}\2[0-9]{1,2})(?![0-9])")

_PHONE = r"\[PHONE"
_NATIONAL = re.compile(
    rf"""
    (?<!{WORD})(?<![+\-./,#$€£=@%&])(?<!{_PHONE}\])
    (?:
      (?:                                                      # North America
        (?:1[ .-]?)?\([2-9][0-9]{{2}}\)[ \u00a0]?[2-9][0-9]{{2}}[ .-][0-9]{{4}}
      | (?:1-)?[2-9][0-9]{{2}}-[2-9][0-9]{{2}}-[0-9]{{4}}
      | (?:1\.)?[2-9][0-9]{{2}}\.[2-9][0-9]{{2}}\.[0-9]{{4}}
      | \([1-9][1-9]\)[ ]?(?:9[0-9]{{4}}|[2-5][0-9]{{3}})[ -][0-9]{{4}}  # Brazil
      | 8[ ]?\([3489][0-9]{{2}}\)[ ]?[0-9]{{3}}[ -]?[0-9]{{2}}[ -]?[0-9]{{2}}  # Russia, Kazakhstan
      | 8-[3489][0-9]{{2}}-[0-9]{{3}}-[0-9]{{2}}-[0-9]{{2}}
      | 0[1-9][0-9]?-[0-9]{{3,4}}-[0-9]{{4}}                   # Japan, Korea, Taiwan
      | 0[1-9][0-9]0?-[0-9]{{3,4}}-[0-9]{{4}}
      | \(0[1-9][0-9]{{0,3}}\)[ ]?[0-9]{{3,4}}[ -]?[0-9]{{3,4}}  # United Kingdom, Australia, Germany, China
      | 1[3-9][0-9]-[0-9]{{4}}-[0-9]{{4}}                      # China, mobile
      ) (?!(?!x[0-9]){WORD})(?![.\-/]{WORD})
    | (?<![0-9][ \u00a0])(?<!{_PHONE}\][ \u00a0])
      (?:
        (?P<pairs>0[1-9](?P<gap>[ \u00a0.-])[0-9]{{2}}(?:(?P=gap)[0-9]{{2}}){{3}})  # France
      | 02[0-9][ ][0-9]{{4}}[ ][0-9]{{4}} | 0[1-9][0-9]{{3}}[ ][0-9]{{6}}          # United Kingdom
      | 0[1378][0-9]{{2}}[ ][0-9]{{3}}[ ][0-9]{{4}} | 0[1-9][0-9]{{3}}[ ][0-9]{{3}}[ ][0-9]{{3}}
      | 0[2378][ ][0-9]{{4}}[ ][0-9]{{4}} | 04[0-9]{{2}}[ ][0-9]{{3}}[ ][0-9]{{3}}  # Australia
      ) (?!{WORD})(?![ \u00a0.\-/]{{1,2}}(?:[0-9]|{_PHONE}))(?![.\-/]{WORD})
    )
    """,
    re.VERBOSE,
)
_PLUS = re.compile(rf"(?<!{WORD})(?<![+=])(?<!{_PHONE}\])(?P<open>\(?)\+[ ]?\(?\Z")
_EXTENSION = re.compile(rf"[ ,]{{0,2}}(?:x|ext\.?|extension)[ .]?[0-9]{{1,6}}(?!{WORD})")
_LEADING = 4  # characters before a zone with which a number may begin
_AHEAD = 10  # characters after a zone that the pattern looks at


def find_phone_numbers(text: str) -> Spans:
    """Return where the telephone numbers of `text` are."""
    spans: Spans = []
    floor = 0
    for zone in _ZONE.finditer(text):
        spans += _in_zone(text, zone.start(), zone.end(), floor)
        floor = spans[-1][1] if spans and spans[-1][1] > zone.end() else zone.end()
    return spans


def has_long_number(text: str) -> bool:
    """Return whether seven digits stand anywhere with little between them: a quick no for most texts."""
    return _ZONE.search(text) is not None


def _in_zone(text: str, start: int, end: int, floor: int) -> Spans:
    """Return those of one zone, which begins at `start`; "+" and brackets may stand before it, but after `floor`."""
    plus = _PLUS.search(text, max(floor, start - _LEADING), start)
    if plus:
        ends = [stop for digits, stop in _endings(text, start, end) if _is_international(digits)]
        end_of_number = _with_extension(text, ends[-1]) if ends else None
        if end_of_number is None:
            return []
        opened = plus["open"] and ")" not in text[start:end_of_number]
        spans = [(plus.start() + bool(opened), end_of_number)]
    else:
        spans = _announced(text, start, end)
    position = spans[-1][1] if spans else max(floor, start - _LEADING)
    while (match := _NATIONAL.search(text, position, end + _AHEAD)) and match.start() < end:
        position = match.end()
        stop = None if _is_lottery(match) else _with_extension(text, position)
        if stop:
            spans.append((match.start(), stop))
            position = stop
    return spans


def _announced(text: str, start: int, end: int) -> Spans:
    """Return the numbers at the start of a zone after a word that announces them: "Tel. 030 123456 / 123457"."""
    spans: Spans = []
    position = start if _ANNOUNCEMENT.search(text, max(0, start - _LOOK_BEHIND), start) else end
    while position < end and not _DATE.match(text, position):
        ends = [stop for digits, stop in _endings(text, position, end) if 7 <= len(digits) <= _MAX_ANNOUNCED]
        stop = _with_extension(text, ends[-1]) if ends else None
        if stop is None:
            break
        opened = not spans and text[start - 1] == "(" and ")" in text[start:stop]
        spans.append((position - opened, stop))
        parting = _WIDE.match(text, stop)
        if not parting:
            break
        position = parting.end()
    return spans


def _is_lottery(match: re.Match[str]) -> bool:
    """Return whether five pairs of digits ascend, as drawn lottery numbers do: one telephone number in 120 does."""
    pairs = _GROUP.findall(match["pairs"] or "")
    return bool(pairs) and pairs == sorted(set(pairs))


def _endings(text: str, start: int, end: int) -> list[tuple[str, int]]:
    """Return the digits from `start` to each place where the number may end: after each group, until another begins."""
    endings: list[tuple[str, int]] = []
    digits = ""
    for group in _GROUP.finditer(text, start, end):
        if len(digits) >= 7 and _WIDE.match(text, endings[-1][1]):
            break
        digits += group.group()
        if len(digits) > _MAX_DIGITS:
            break
        endings.append((digits, group.end()))
    return endings


def _is_international(digits: str) -> bool:
    """Return whether the digits are an assigned country code and as many as numbers under it have."""
    code = next((digits[:n] for n in (1, 2, 3) if digits[:n] in _LENGTHS), None)
    number = digits[len(code or "") :]
    if code is None or number.startswith("00"):
        return False
    if code == "1":
        return bool(_NORTH_AMERICAN.fullmatch(number))
    shortest, longest = _LENGTHS[code]
    if number.startswith("0") and code not in _KEEP_ZERO:
        number = number[1:]
    return shortest <= len(number) <= longest


def _with_extension(text: str, end: int) -> int | None:
    """Return the end of a number with the extension that may follow; None where a letter follows and it is none."""
    extension = _EXTENSION.match(text, end)
    return extension.end() if extension else None if is_word(text[end : end + 1]) else end
