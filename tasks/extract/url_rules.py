"""Rules on a page's address alone: listed domains, hosts and addresses, and words that tell what is behind them.

Notable:
- The rules are FineWeb's URL filter, its quirks included. A word of the lists is compared in lower case with the
  address's words as they stand, so `/PORN/` passes unless `match_case` is off. A subword is looked for in the address
  with everything but letters and digits taken out, scheme and host included. Soft words count once each.
- Unlike FineWeb's, these name every rule that fails, and each is a signal, so that the lists can be evaluated.
- Lists are data: the recipe names files, and those that come with Sluice are seeds. A list of domains or addresses is
  held as sorted 64-bit hashes, 8 bytes an entry, since the lists of the web have millions; the chance of a collision is
  1 in 10 million for a crawl of a billion pages.
- Measured: 20 microseconds an address, the same with a million domains, which take 1 s to read and 8 MB.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import xxhash
from pydantic import Field
from tld import get_fld

from tasks.base.config import Config
from tasks.base.errors import UsageError
from tasks.base.hosts import ascii_host
from tasks.dataset.data_files import DataFile

URL_SIGNALS: Final[Mapping[str, pa.DataType]] = MappingProxyType(
    {
        "url_listed": pa.string(),
        "url_hard_words": pa.int32(),
        "url_soft_words": pa.int32(),
        "url_subwords": pa.int32(),
    }
)
"""What is measured of an address: the domain, host or address that is on a list (null: none), and how many different
words of each list it has."""

URL_REASONS: Final = ("url_domain", "url_host", "url_address", "url_hard_word", "url_soft_words", "url_subword")
"""Why an address is refused: its registered domain, its host or all of it is listed, or its words are."""

_NOT_ALPHANUMERIC = re.compile(r"[^a-zA-Z0-9]+")
_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://")


class UrlRulesConfig(Config):
    """Addresses to refuse unread. A list is a text file with an entry a line; # begins a comment."""

    blocked_domains: tuple[DataFile, ...] = ("builtin:url-blocked-domains.txt",)
    """Lists of domains (which stand for all their hosts) and of hosts."""
    blocked_addresses: tuple[DataFile, ...] = ()
    """Lists of whole addresses, with their scheme or, for any scheme, without."""
    hard_words: tuple[DataFile, ...] = ("builtin:url-hard-words.txt",)
    """Lists of words of which one is enough."""
    soft_words: tuple[DataFile, ...] = ("builtin:url-soft-words.txt",)
    """Lists of words of which several are needed."""
    min_soft_words: int = Field(default=2, ge=1)
    """How many different soft words are enough."""
    subwords: tuple[DataFile, ...] = ("builtin:url-subwords.txt",)
    """Lists of parts of words that are enough wherever they stand, even across the words of an address."""
    match_case: bool = True
    """Whether an upper-case word of an address differs from the list's, as in FineWeb; False: it is the same."""


class UrlRules:
    """The rules of a recipe with their lists in memory."""

    def __init__(self, config: UrlRulesConfig, read: Callable[[str], bytes]) -> None:
        """Read the lists; `read` returns a list's bytes by its name. Raises `UsageError` for a list that is no text."""
        self._config = config
        self._domains = _HashSet(map(_comparable, _entries(config.blocked_domains, read)))
        self._addresses = _HashSet(_entries(config.blocked_addresses, read))
        self._hard = frozenset(map(_run_together, _entries(config.hard_words, read))) - {""}
        self._soft = frozenset(map(_run_together, _entries(config.soft_words, read))) - {""}
        self._subwords = _Substrings(map(_run_together, _entries(config.subwords, read)))

    def check(self, url: str) -> tuple[list[str], dict[str, Any]]:
        """Return each of `URL_REASONS` that applies, in that order, and all of `URL_SIGNALS`; never raises."""
        listed = self._listed(url, _comparable(host_of(url)))
        words = set(_NOT_ALPHANUMERIC.split(url if self._config.match_case else url.lower()))
        hard, soft = len(words & self._hard), len(words & self._soft)
        subwords = self._subwords.count_in(_run_together(url))
        tests = {
            **{reason: reason in listed for reason in URL_REASONS[:3]},
            "url_hard_word": hard > 0,
            "url_soft_words": soft >= self._config.min_soft_words,
            "url_subword": subwords > 0,
        }
        signals = (next(iter(listed.values()), None), hard, soft, subwords)
        return [reason for reason in URL_REASONS if tests[reason]], dict(zip(URL_SIGNALS, signals, strict=True))

    def _listed(self, url: str, host: str) -> dict[str, str]:
        """Return the parts of the address that are on a list, by reason."""
        found = {}
        if self._domains and host:
            domain = registered_domain(host)
            if domain in self._domains:
                found["url_domain"] = domain
            if host != domain and host in self._domains:
                found["url_host"] = host
        if self._addresses:
            for address in (url, _SCHEME.sub("", url, count=1)):
                if address in self._addresses:
                    found["url_address"] = address
        return found


def host_of(url: str) -> str:
    """Return the host of an address in lower case, without its port; "" where it has none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


@lru_cache(maxsize=4096)
def registered_domain(host: str) -> str:
    """Return the registered domain of `host`, by the public suffix list that `tld` ships.

    Under an unknown suffix it is the last two labels, as that list's own rules say; of an IP address, all of it.
    """
    try:
        found = get_fld(host, fail_silently=True, fix_protocol=True)
    except Exception:
        # The library raises various errors for what is no host, such as "a..b".
        found = None
    if found or ":" in host or host.rpartition(".")[2].isdigit():
        return found or host
    return ".".join(host.rsplit(".", 2)[-2:])


def _entries(files: Iterable[str], read: Callable[[str], bytes]) -> Iterator[str]:
    """Yield the entries of some lists."""
    for file in files:
        try:
            text = read(file).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UsageError(
                f"The list {file} is no UTF-8 text: {error}. Give a text file, an entry a line."
            ) from error
        for line in text.splitlines():
            entry = line.strip()
            if entry and not entry.startswith("#"):
                yield entry


def _comparable(name: str) -> str:
    """Return a host in ASCII, or as it is where it is none."""
    try:
        return ascii_host(name)
    except UnicodeError:
        return name.lower().strip("./")


def _run_together(text: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", text).lower()


def _hash(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))


class _HashSet:
    """A set of strings, as sorted hashes, that only answers whether it has one."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._hashes = array("Q")
        self._hashes.frombytes(np.unique(np.fromiter(map(_hash, entries), np.uint64)).tobytes())

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, entry: str) -> bool:
        wanted = _hash(entry)
        place = bisect_left(self._hashes, wanted)
        return place < len(self._hashes) and self._hashes[place] == wanted


class _Substrings:
    """Strings to look for at every place of a text, found by their first characters."""

    def __init__(self, strings: Iterable[str]) -> None:
        wanted = sorted(set(strings) - {""})
        self._length = min(map(len, wanted), default=0)
        self._by_beginning: dict[str, list[str]] = {}
        for string in wanted:
            self._by_beginning.setdefault(string[: self._length], []).append(string)

    def count_in(self, text: str) -> int:
        """Return how many of the strings are in `text`."""
        if not self._length:
            return 0
        n, beginnings = self._length, self._by_beginning
        places = [i for i in range(len(text) - n + 1) if text[i : i + n] in beginnings]
        return len({s for i in places for s in beginnings[text[i : i + n]] if text.startswith(s, i)})
