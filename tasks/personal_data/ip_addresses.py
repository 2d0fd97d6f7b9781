"""Finds global IP addresses.

Notable:
- Only globally routed addresses count. The other ranges are listed here, since the answers of `ipaddress` have changed
  between Python versions.
- Four numbers with points are mostly version and section numbers: those after a word such as "version" or a product's
  name and slash are no addresses, and neither are small ones, such as 1.2.3.4 or 2.6.32.15: two numbers must be 10 or
  more, and a third too unless one is at least 100. Of all addresses, less than 1% look like that.
"""

import re
from ipaddress import AddressValueError, IPv6Address, ip_network

from tasks.personal_data.placeholders import Spans, is_word

_DOTS = re.compile(r"\.[0-9]{1,3}\.[0-9]")
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_FOUR = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}")
_SIX = re.compile(r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{2,36}")
_VERSION = re.compile(
    r"(?i:\b(?:v|ver|version|versions|versión|versione|versão|rev|revision|release|releases|build|firmware|driver|kernel"
    r"|update|patch|section|sections|chapter|clause|article|table|figure|fig|sec|oid)[\s.:#(-]{0,3}|§\s?|(?:[a-z]|\[(?:IP|IBAN|CARD|PHONE)\])/)\Z"
)
_LOOK_BEHIND = 16

# The registry of special-purpose addresses (RFC 6890), multicast, and what is reserved.
_SPECIAL = (
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 "
    "192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 "
    "198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4"
)
_NOT_GLOBAL = tuple(
    (int(network.network_address), int(network.netmask)) for network in map(ip_network, _SPECIAL.split())
)
_NOT_GLOBAL_SIX = tuple(ip_network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))


def find_ip_addresses(text: str) -> Spans:
    """Return where the global IPv4 and IPv6 addresses of `text` are; a port or a prefix length after one is left."""
    spans: Spans = []
    if _DOTS.search(text):
        spans = [match.span() for match in _FOUR.finditer(text) if _is_address(text, match)]
    if _COLONS.search(text):
        spans += [span for match in _SIX.finditer(text) if (span := _address_six(text, match))]
        spans.sort()
    return spans


def _is_address(text: str, match: re.Match[str]) -> bool:
    start, end = match.span()
    numbers = match.group().split(".")
    octets = [int(number) for number in numbers]
    if max(octets) > 255 or any(number[0] == "0" and len(number) > 1 for number in numbers):
        return False
    large = sum(octet >= 10 for octet in octets)
    if large < 2 or (large == 2 and max(octets) < 100):
        return False
    before, after, beyond = text[start - 1 : start], text[end : end + 1], text[end + 1 : end + 2]
    if is_word(before) or before in (".", "-", "+") or is_word(after):
        return False
    if (after in (".", "-") and is_word(beyond)) or _VERSION.search(text, max(0, start - _LOOK_BEHIND), start):
        return False
    value = int.from_bytes(bytes(octets))
    return not any(value & mask == network for network, mask in _NOT_GLOBAL)


def _address_six(text: str, match: re.Match[str]) -> tuple[int, int] | None:
    (start, stop), digits = match.span(), match.group()
    end = stop - (digits[-1] == ":" and digits[-2] != ":")
    before, after, beyond = text[start - 1 : start], text[stop : stop + 1], text[stop + 1 : stop + 2]
    if is_word(before) or before in (":", ".", "-") or is_word(after) or after in (":", "["):
        return None
    if (after == "." and is_word(beyond)) or (after == "]" and text[end - 1] == ":"):
        return None
    if len(list(filter(None, text[start:end].split(":")))) < 3:
        return None
    try:
        address = IPv6Address(text[start:end])
    except AddressValueError:
        return None
    return None if any(address in network for network in _NOT_GLOBAL_SIX) else (start, end)
