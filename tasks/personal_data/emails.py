"""Finds e-mail addresses.

Notable:
- Each "@" is looked at by itself, with the 64 characters before it and the domain after it, so time grows with length.
- Letters are those of the Latin script with their accents: addresses in other scripts are rare, and a Chinese sentence
  around an address would be taken for part of it.
- What does not end in a top-level domain is no address: `logo@2x.png`. Domains reserved for examples (RFC 2606) count,
  `.example` too, which the synthetic web uses. A word that lost its space (`me@there.orgWrite`) is taken too.
"""

import re

from tasks.base.hosts import top_level_domains
from tasks.personal_data.placeholders import PLACEHOLDERS, Spans

_MAX_LOCAL = 64
_MAX_DOMAIN = 253
_LATIN = "".join(chr(point) for point in range(0xC0, 0x250) if chr(point).isalpha())
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LOCAL = _LETTERS + "0123456789._%+-" + _LATIN
_LABEL = "[A-Za-z0-9\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f-]{1,63}+"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})++")
_TOP_LEVEL = re.compile(r"xn--[A-Za-z0-9-]{2,59}|(?P<name>[A-Z]?[a-z]{1,23}|[A-Z]{2,24})(?:[A-Z][a-z]{0,30})?(?=-|\Z)")
# Replaced after the addresses were looked for: what stood there was no part of an address, so what follows is none.
_LATER = tuple(PLACEHOLDERS.values())[list(PLACEHOLDERS).index("emails") + 1 :]


def find_emails(text: str) -> Spans:
    """Return where the e-mail addresses of `text` are."""
    spans: Spans = []
    at = text.find("@")
    while at >= 0:
        start = _local_start(text, at, spans[-1][1] if spans else 0)
        end = _domain_end(text, at + 1) if start is not None else None
        if start is not None and end is not None:
            spans.append((start, end))
        at = text.find("@", end or at + 1)
    return spans


def _local_start(text: str, at: int, floor: int) -> int | None:
    """Return where the part before the "@" begins; None where there is none, or one that is too long."""
    first = max(floor, at - _MAX_LOCAL - 1)
    window = text[first:at]
    start = first + len(window.rstrip(_LOCAL))
    if at - start > _MAX_LOCAL or text.endswith(_LATER, 0, start):
        return None
    start += (at - start) - len(text[start:at].lstrip("._%+-"))
    return start if start < at and text[at - 1] != "." else None


def _domain_end(text: str, start: int) -> int | None:
    """Return where the domain that begins here ends; None where there is none that mail could go to."""
    match = _DOMAIN.match(text, start)
    if not match or match.end() - start > _MAX_DOMAIN:
        return None
    labels = match.group().split(".")
    if len(labels) > 2 and labels[-1].istitle() and labels[-2].islower() and len(labels[-2]) <= 4:
        labels.pop()  # the next sentence, its space lost: someone@there.org.Write
    if any(label[0] == "-" or label[-1] == "-" for label in labels[:-1]):
        return None
    last = _TOP_LEVEL.match(labels[-1])
    name = last["name"].lower() if last and last["name"] else "example"
    if not last or (name != "example" and name not in top_level_domains()):
        return None
    return start + len(".".join([*labels[:-1], last.group()]))
