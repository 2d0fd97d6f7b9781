"""Which pages of a crawl to take, as conditions that Common Crawl's columnar index can answer.

Notable:
- Each condition names its column, so an index that lacks one is refused with that name.
- The index is sorted by SURT key (`org,example,www)/path`), so a domain is a narrow range of it: the statistics of
  `url_surtkey` rule out nearly every row group, and the host name then decides row by row.
- A sample is drawn by a hash of each record's address, so a smaller sample is part of every larger one.
"""

import re
from collections.abc import Collection, Iterator
from functools import reduce
from operator import and_, or_
from typing import Annotated, Any

import numpy as np
import pyarrow.compute as pc
import xxhash
from pydantic import AfterValidator, Field, StringConstraints

from tasks.base.config import Config
from tasks.base.errors import UsageError
from tasks.base.hashing import UInt64s, spread64
from tasks.base.hosts import ascii_host
from tasks.base.language_codes import THREE_LETTERS, three_letter_code
from tasks.dataset.data_files import DataFile


def _domain(name: str) -> str:
    """A domain as the index writes hosts: lower case, international names in their ASCII form, no dots at the ends."""
    try:
        return ascii_host(name)
    except UnicodeError as error:
        raise ValueError(f"{name!r} is no domain ({error}); give a host's name, such as example.org") from error


_HTTP = re.compile(r"https?://[^/\s]", re.IGNORECASE)
_NAME = StringConstraints(pattern=r"^[^\s/:@*,()]+$", max_length=253)
Language = Annotated[str, AfterValidator(lambda code: three_letter_code(code) and code)]
Domain = Annotated[str, _NAME, AfterValidator(_domain)]
MediaType = Annotated[str, StringConstraints(pattern=r"^[^\s/]+/[^\s/]+$", to_lower=True)]
Status = Annotated[int, Field(ge=100, le=999)]


class SelectConfig(Config):
    """Which pages of the chosen WARC files to take, by the crawl's columnar index: those that meet all conditions."""

    languages: tuple[Language, ...] = ()
    """Languages of which the index must name at least one for the page (it names up to three), as ISO 639-1 codes."""
    domains: tuple[Domain, ...] = Field(default=(), max_length=1000)
    """Domains, each with all hosts below it: example.org is www.example.org as well."""
    tlds: tuple[Domain, ...] = ()
    """Top-level domains, such as de."""
    mime: tuple[MediaType, ...] = ()
    """Media types as detected from the content, such as text/html."""
    status: tuple[Status, ...] = ()
    """HTTP statuses."""
    urls: DataFile | None = None
    """Text file of addresses, one a line; # begins a comment. http and https count as the same. Those that the index
    does not have are counted."""
    max_pages: int | None = Field(default=None, ge=1)
    """Most pages to take, drawn evenly from all that meet the conditions; null takes them all."""
    seed: int = Field(default=0, ge=0, lt=2**64)
    """Decides which pages are drawn."""
    merge_gap_bytes: int = Field(default=256 << 10, ge=0)
    """Selected records that lie no further apart than this many bytes come in one request. Changes no output."""
    whole_from_share: float = Field(default=0.5, ge=0, le=1)
    """Share of the bytes between a WARC's first and last selected record, gaps that are read anyway included, from
    which on they come in one request instead of many. Changes no output."""

    def conditions(self) -> dict[str, Any]:
        """Return the conditions: what decides which pages the index gives, before any are drawn."""
        listed = {"urls": self.urls} if self.urls else {}
        return {name: sorted(set(getattr(self, name))) for name in _COLUMNS} | listed

    def drawing(self) -> dict[str, Any]:
        """Return how the sample is drawn: what decides which of those are taken."""
        return self.model_dump(mode="json", include={"max_pages", "seed"})

    def meaning(self) -> dict[str, Any]:
        """Return all that decides which pages are taken, and nothing about how their bytes are fetched."""
        return self.conditions() | self.drawing()

    def may_be_in(self, languages: Collection[str]) -> bool:
        """Whether some selected page may be in one of these languages; none given means all."""
        wanted = {three_letter_code(code) for code in self.languages}
        return not wanted or not languages or any(THREE_LETTERS.get(code, code) in wanted for code in languages)

    def columns(self) -> dict[str, str]:
        """Return the index's column for each condition that is given, by the condition's name."""
        listed = {"urls": _URL} if self.urls else {}
        return {name: column for name, column in _COLUMNS.items() if getattr(self, name)} | listed


_COLUMNS = {
    "languages": "content_languages",
    "domains": "url_host_name",
    "tlds": "url_host_tld",
    "mime": "content_mime_detected",
    "status": "fetch_status",
}
_URL = "url"
SORT_COLUMN = "url_surtkey"
_MOST_URLS = 10_000_000
_MOST_RANGES = 500  # of a file's statistics that are looked at for single hosts; above that, one range for all


def read_urls(content: bytes, field: str) -> tuple[str, ...]:
    """Return the addresses of a list, sorted, each once. Raises UsageError for what is no list of addresses."""
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{field}: the list is no UTF-8 text ({error}); give an address a line.") from error
    entries = {line.strip() for line in lines} - {""}
    urls = {entry for entry in entries if not entry.startswith("#")}
    if wrong := next((url for url in sorted(urls) if not _HTTP.match(url)), None):
        raise UsageError(f"{field}: {wrong[:200]!r} is no address that begins with http:// or https://.")
    if not urls or len(urls) > _MOST_URLS:
        raise UsageError(f"{field}: the list has {len(urls):,} addresses; give between 1 and {_MOST_URLS:,}.")
    return tuple(sorted(urls))


def without_scheme(url: str) -> str:
    """Return an address as lists and index are compared: without http or https, the host in lower case."""
    host, slash, path = url.partition("://")[2].partition("/")
    return f"{host.lower()}{slash or '/'}{path}"


def _equal(select: SelectConfig) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the conditions whose column must be one of some values, and those values."""
    return ((name, values) for name in ("tlds", "mime", "status") if (values := getattr(select, name)))


def row_filter(select: SelectConfig, urls: Collection[str] = ()) -> pc.Expression | None:
    """Return the condition that a row of the index must meet; None where all do. `urls` are those of the list."""
    tests = [pc.field(_COLUMNS[name]).isin(list(values)) for name, values in _equal(select)]
    if select.languages:
        codes = "|".join(sorted({three_letter_code(code) for code in select.languages}))
        tests.append(pc.match_substring_regex(pc.field("content_languages"), f"(^|,)({codes})(,|$)"))
    if select.domains:
        names = "|".join(re.escape(name) for name in sorted(set(select.domains)))
        tests.append(pc.match_substring_regex(pc.field("url_host_name"), rf"(^|\.)({names})$"))
    if select.urls:
        both = [f"{scheme}://{url}" for url in map(without_scheme, urls) for scheme in ("http", "https")]
        tests.append(pc.field(_URL).isin(both))
    return reduce(and_, tests) if tests else None


def group_filter(select: SelectConfig, columns: set[str], urls: Collection[str] = ()) -> pc.Expression:
    """Return a condition on the row groups' statistics of `columns`, never stricter than `row_filter`."""
    tests = [reduce(or_, [pc.field(_COLUMNS[name]) == value for value in values]) for name, values in _equal(select)]
    if select.domains and SORT_COLUMN in columns:
        tests.append(reduce(or_, [_surt_range(name) for name in select.domains]))
    if select.urls and SORT_COLUMN in columns:
        hosts = sorted({without_scheme(url).partition("/")[0].rpartition("@")[2].partition(":")[0] for url in urls})
        if len(hosts) <= _MOST_RANGES:
            tests.append(reduce(or_, [_surt_range(host) for host in hosts]))
    return reduce(and_, tests) if tests else pc.scalar(True)


def _surt_range(domain: str) -> pc.Expression:
    """Return the keys of a domain and all below it: `org,example`, then `)`, `,` or `:`; a leading www is left out."""
    labels = re.sub(r"^www\d*\.(?=.)", "", domain).split(".")
    prefix = ",".join(reversed(labels))
    return (pc.field(SORT_COLUMN) >= f"{prefix})") & (pc.field(SORT_COLUMN) < f"{prefix};")


def draw_keys(warc_names: list[str], places: np.ndarray, offsets: np.ndarray, seed: int) -> UInt64s:
    """Return a number for each record by which a sample is drawn, the smallest first; `places` index `warc_names`."""
    names = np.array([xxhash.xxh3_64_intdigest(name, seed) for name in warc_names], np.uint64)
    return spread64(names[places] ^ spread64(offsets.astype(np.uint64)))
