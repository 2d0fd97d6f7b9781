"""How DCLM changes a text: addresses are stripped before anything is measured, worthless lines removed after.

Source: Li et al., "DataComp-LM" (arXiv 2406.11794), and the configuration published with it.
Notable:
- An address is a host that ends in a top-level domain with all that is attached to it, or an IPv4 address, and the
  white space before it. The published code asks first whether the text *begins* with the letters of a top-level domain,
  which looks like a slip; here every text is stripped.
- Lines are tested in the published order. The three phrases come out of lines of at most ten words, and such
  a line goes only if nothing else is left of it. In "Read more..." each dot stands for any character.
- Lines of white space alone go, empty ones stay. Lines of digits alone need no test: they have fewer than two words.
"""

import re
import string
from collections.abc import Iterable
from typing import NamedTuple

from tasks.base.hosts import top_level_domains
from tasks.filter.text_units import TextUnits

MAX_UPPERCASE = 0.5
"""Largest share of capital letters among a line's characters."""

MAX_WORDS_OF_PHRASE_LINE = 10
"""Phrases are sought in lines of at most so many words."""

_MAX_HOST = 256  # characters before the dot of the top-level domain
_HOST_CHARACTERS = string.ascii_letters + string.digits + "-@:%._+~#="
_HOST = re.compile(r"[-a-zA-Z0-9@:%._+~#=]*")
_REST = re.compile(r"[-a-zA-Z0-9()@:%_+.~#?&/=]*")
_DOT_LABEL = re.compile(r"\.(\w+)")
_SCHEMES = ("https://", "http://", "ftp://")
_MAX_SPACE = 10  # characters of white space that go with an address
_IP_ADDRESS = re.compile(r"\b(?:[0-2]?[0-9]{1,2}\.){3}[0-2]?[0-9]{1,2}[-a-zA-Z0-9()@:%_+.~#?&/=]*")
_IP_DIGITS = re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]")  # every IPv4 address has this; few texts do
_NEWLINES = re.compile(r"\n{3,}")

_CAPITALS = string.ascii_uppercase.encode()
_LETTERS = frozenset(string.ascii_letters)  # no counter begins with one
_COUNTER = re.compile(
    r"\W*\d[,.\d]*[kmb]?\s+(?:likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads"
    r"|views|followers)\W*$"
)
_PHRASES = (
    ("items in cart", re.compile(r"\s?items in cart", re.IGNORECASE)),
    ("read more", re.compile(r"\s?Read more...$", re.IGNORECASE)),
    ("sign-in", re.compile(r"^Sign-in\s?", re.IGNORECASE)),
)


def strip_addresses(text: str) -> str:
    """Return the text without its addresses, and with at most two newlines in a row."""
    text = _without_hosts(text)
    if _IP_DIGITS.search(text):
        text = _without_ip_addresses(text)
    return _NEWLINES.sub("\n\n", text) if "\n\n\n" in text else text


def _without_hosts(text: str) -> str:
    pieces: list[str] = []
    done = 0  # the text before this is in the pieces or gone
    for match in _DOT_LABEL.finditer(text):
        dot = match.start()
        if dot < done or match[1] not in top_level_domains():
            continue
        window = text[max(done, dot - _MAX_HOST) : dot]
        host = dot - len(window) + len(window.rstrip(_HOST_CHARACTERS))
        if host == dot:
            continue
        pieces.append(text[done : _address_start(text, done, host)])
        done = _address_end(text, host, dot)
    return "".join((*pieces, text[done:])) if done else text


def _without_ip_addresses(text: str) -> str:
    pieces: list[str] = []
    done = 0
    for match in _IP_ADDRESS.finditer(text):
        pieces.append(text[done : _address_start(text, done, match.start())])
        done = match.end()
    return "".join((*pieces, text[done:])) if done else text


def _address_start(text: str, done: int, host: int) -> int:
    """Return where the scheme and the white space before a host begin."""
    scheme = next((scheme for scheme in _SCHEMES if text.endswith(scheme, done, host)), "")
    start = host - len(scheme)
    before = text[max(done, start - _MAX_SPACE) : start]
    return start - len(before) + len(before.rstrip())


def _address_end(text: str, host: int, dot: int) -> int:
    """Return where the address ends that has a top-level domain after `dot`: past the host's last such dot."""
    found = _HOST.match(text, host)
    last = min(found.end() if found else dot, host + _MAX_HOST + 1)
    end = dot
    for match in _DOT_LABEL.finditer(text, dot):
        if match.start() >= last:
            break
        if match[1] in top_level_domains():
            end = match.end()
    rest = _REST.match(text, end)
    return rest.end() if rest else end


class KeptLines(NamedTuple):
    """What DCLM's line removers leave of a text."""

    text: str
    """The lines that are left, stripped at both ends."""
    n_words_removed: int
    """How many words, by `count_words`, the text lost."""


def remove_lines(units: TextUnits) -> KeptLines:
    """Remove the lines that DCLM removes, and three phrases of web pages."""
    phrases = [pattern for phrase, pattern in _PHRASES if phrase in units.lowered]
    kept: list[str] = []
    n_words_removed = 0
    for line in units.text.strip().split("\n"):
        left = line
        if line and _is_worthless(line):
            left = ""
        elif phrases:
            left = _without_phrases(line, phrases)
        if left or not line:
            kept.append(left)
        if left != line:
            n_words_removed += count_words(line.split()) - count_words(left.split())
    return KeptLines("\n".join(kept).strip(), n_words_removed)


def count_words(words: Iterable[str]) -> int:
    """Return how many of `words` begin with a letter or a digit."""
    return sum(word[0].isalnum() for word in words)


def _is_worthless(line: str) -> bool:
    return (
        len(line.split(None, 1)) < 2
        or _is_mostly_capitals(line)
        or (line[0] not in _LETTERS and bool(_COUNTER.match(line.lower())))
    )


def _is_mostly_capitals(line: str) -> bool:
    """Return whether more than half of the characters are capital letters."""
    limit = MAX_UPPERCASE * len(line)
    encoded = line.encode("utf-8", "surrogatepass")
    ascii_capitals = len(encoded) - len(encoded.translate(None, _CAPITALS))
    others = len(encoded) - len(line)  # no fewer than the characters that are not ASCII
    return ascii_capitals + others > limit and sum(map(str.isupper, line)) > limit


def _without_phrases(line: str, phrases: list[re.Pattern[str]]) -> str:
    """Return the line without these phrases; "" where nothing else is left."""
    for phrase in phrases:
        if len(line.split()) <= MAX_WORDS_OF_PHRASE_LINE:
            line = phrase.sub("", line)
            if not line or line.isspace():
                return ""
    return line
