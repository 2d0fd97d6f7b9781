"""Which crawl and which of its WARC files: Common Crawl's own listings, read from the configured base.

Notable:
- Names from a listing become parts of addresses and of local paths, so they are checked before they are used.
- "latest" is the greatest name, as crawl names sort by time. Beside the crawls the bucket has other folders, such as
  CC-NEWS, so where there are names of the usual form only these count.
- A base without collinfo.json (the bucket itself, a plain folder) is listed instead.
"""

import contextlib
import difflib
import logging
import re
import zlib
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Literal, Protocol, Self

import xxhash
from pydantic import Field, StringConstraints, field_validator, model_validator

from tasks.base.config import Config
from tasks.base.errors import PermanentError, TemporaryError
from tasks.base.messages import first_words, is_markup
from tasks.base.plain_data import parse_json
from tasks.documents.columns import ColumnsConfig
from tasks.fetch.page_selection import SelectConfig
from tasks.fetch.source_files import SourceKind
from tasks.own_code.named_code import OwnCode
from tasks.sources.byte_source import byte_source
from tasks.sources.downloading import read_small
from tasks.sources.transfer import NotFound, TransferConfig
from tasks.warc.gzip_inflating import GZIP, inflate

_log = logging.getLogger(__name__)

OFFICIAL_BASE = "https://data.commoncrawl.org"
OFFICIAL_INDEX = "https://index.commoncrawl.org"
"""The list of crawls is published beside the data, on a host of its own."""

_MOST_LISTING_BYTES = 64 << 20
_MOST_CRAWLS_BYTES = 4 << 20
_MOST_CRAWLS = 10_000
_MAX_NAME_CHARS = 200  # of a crawl or a WARC file; endings of ours come after it
_MAX_PATH_CHARS = 1_000
_CRAWL_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{_MAX_NAME_CHARS - 1}}}")
_CRAWL_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]*(/[0-9]{4}(/[0-9]{2})?)?"  # CC-NEWS lists each month's files on its own
_USUAL_NAME = re.compile(r"CC-MAIN-[0-9]{4}.*")
_WARC_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=/-]*\.warc(\.gz)?")
_RANGE = re.compile(r"(\d+)-(\d+)")

RangeText = Annotated[str, StringConstraints(pattern=r"^\d+-\d+$")]
Index = Annotated[int, Field(ge=0)]


class WarcSample(Config):
    """Some WARC files of a crawl, drawn by name: the same on every machine; a larger sample holds a smaller one."""

    sample: int = Field(ge=1)
    """How many."""
    seed: int = Field(default=0, ge=0, lt=1 << 64)
    """Which ones: another seed draws others."""


Warcs = int | str | tuple[int, ...] | WarcSample | None


class SourceConfig(Config):
    """Where pages come from."""

    base: str = Field(default=OFFICIAL_BASE, min_length=1)
    """A crawl in Common Crawl's layout (https://data.commoncrawl.org, a mirror's URL, s3://commoncrawl, a folder), or a
    file, a folder or a glob of WARC, WET, JSON lines or Parquet files; with `kind` also a web server's folder that has
    an index page, or a list of paths below its own folder (.paths or .paths.gz)."""
    kind: SourceKind | None = None
    """What it is: a crawl, or files with pages (warcs), with texts of Common Crawl's (wet), with documents that exist
    already (documents); null: as the names of its files tell."""
    crawl: str = Field(default="latest", pattern=rf"^{_CRAWL_PATTERN}$", max_length=_MAX_NAME_CHARS)
    """A crawl's name, such as CC-MAIN-2026-46 or CC-NEWS/2026/11, or "latest". What documents of other sources say in
    its place; "latest": the name of their folder or file."""
    warcs: Annotated[int, Field(ge=1)] | Literal["all"] | RangeText | tuple[Index, ...] | WarcSample | None = None
    """Which of the files: a count (the first ones), "all", places from 0 such as "0-6" (both included), a list of
    places, or a sample such as {sample: 10, seed: 1}; null: the first of a crawl, all of another source."""
    limit: int | None = Field(default=None, ge=1)
    """Most documents to read (of a WARC, pages): the first of each file, of every file equally many; null: all. What is
    fetched of a crawl it does not limit: `bytes_per_warc` does."""
    reader: OwnCode | None = None
    """A function of your own, FILE.py:NAME or MODULE:NAME, that reads documents out of a file of any kind; then every
    file of the source is read by it. See docs/extending.md."""
    columns: ColumnsConfig = ColumnsConfig()
    """Which columns of JSON lines and Parquet files hold the text, the id, the address and the date."""
    bytes_per_warc: int | None = Field(default=None, ge=1)
    """Take only this many bytes from the beginning of each WARC file (cut to whole records); null takes all of it."""
    select: SelectConfig | None = None
    """Which pages of those WARC files to take, by the crawl's columnar index, or where there is none by the CDX file
    beside each WARC file; null takes all of them."""
    keep_warcs: bool = False
    """Whether fetched WARC files stay in the store after extraction; otherwise they are removed then."""
    max_failed_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the WARC files that may be missing or unreadable for good without ending the run (0 to 1). A later run
    asks for them again."""
    transfer: TransferConfig = TransferConfig()
    """How the source is reached, its rate limits and retries."""

    @field_validator("warcs")
    @classmethod
    def _sensible(cls, value: Warcs) -> Warcs:
        if isinstance(value, str) and (found := _RANGE.fullmatch(value)) and int(found[1]) > int(found[2]):
            raise ValueError(f"the range {value!r} ends before it begins")
        if isinstance(value, tuple) and (not value or len(set(value)) != len(value)):
            raise ValueError("a list of WARC files has at least one place and none twice")
        return value

    @model_validator(mode="after")
    def _a_reader_reads_documents(self) -> Self:
        if self.reader and self.kind not in (None, "documents"):
            raise ValueError(f"source.reader makes documents of any file: leave out source.kind {self.kind!r}")
        return self

    @model_validator(mode="after")
    def _one_way_to_take_less(self) -> Self:
        if self.select and self.bytes_per_warc:
            raise ValueError("bytes_per_warc and select exclude each other: limit a selection by select.max_pages")
        return self


class SourceRecipe(Protocol):
    """What the stages of acquisition read of a recipe."""

    source: SourceConfig


def resolve_crawl(config: SourceConfig) -> str:
    """Return the crawl's name; where the recipe says "latest", that of the source's newest."""
    if config.crawl != "latest":
        return config.crawl
    crawls = known_crawls(config)
    if not crawls:
        raise PermanentError(
            f"{config.base}: no crawl is listed in collinfo.json or found under crawl-data/, so there is no latest one:"
            " check source.base, or name a crawl in source.crawl."
        )
    return _newest(crawls)


def usual_names(crawls: Sequence[str]) -> list[str]:
    """Return the names of the form CC-MAIN-YEAR-WEEK, or all where there are none; see the module."""
    return [name for name in crawls if _USUAL_NAME.fullmatch(name)] or list(crawls)


def _newest(crawls: Sequence[str]) -> str:
    return max(usual_names(crawls))


def known_crawls(config: SourceConfig) -> list[str]:
    """Return the names of the source's crawls; [] where it does not list them."""
    index = OFFICIAL_INDEX if config.base.rstrip("/") == OFFICIAL_BASE else config.base
    try:
        names = read_small(index, "collinfo.json", config.transfer, _crawl_names, _MOST_CRAWLS_BYTES, False)
    except NotFound:
        names = byte_source(config.base, config.transfer).folders("crawl-data")
    if len(names) > _MOST_CRAWLS:
        raise PermanentError(f"{index}: {len(names):,} crawls are listed; at most {_MOST_CRAWLS:,} are expected.")
    return [name for name in names if _CRAWL_NAME.fullmatch(name)]


def list_warcs(config: SourceConfig) -> list[str]:
    """Return the paths of the WARC files that the recipe asks for, in its order if it lists them, else the listing's.

    A count larger than the crawl means all of it; a place that the crawl does not have is an error.
    """
    crawl = resolve_crawl(config)
    path = f"crawl-data/{crawl}/warc.paths.gz"
    where = byte_source(config.base, config.transfer).address(path)
    try:
        paths = listed_paths(config, path, _WARC_PATH)
    except NotFound as error:
        raise PermanentError(f"{error} {_advice(config, crawl)}") from error
    if not paths:
        raise PermanentError(f"{where}: the crawl {crawl} lists no WARC files. {_advice(config, crawl)}")
    chosen = [paths[place] for place in chosen_places(config, paths, where)]
    if len(set(map(warc_name, chosen))) < len(chosen):
        raise PermanentError(f"{where}: two WARC files have the same name, so their documents' ids would collide.")
    return chosen


def listed_paths(config: SourceConfig, path: str, pattern: re.Pattern[str]) -> list[str]:
    """Return the paths in the listing at `path` below the base. Raises PermanentError for one not like `pattern`."""
    paths = read_small(config.base, path, config.transfer, _lines, _MOST_LISTING_BYTES)
    for number, line in enumerate(paths, 1):
        is_long = len(line) > _MAX_PATH_CHARS or len(PurePosixPath(line).name) > _MAX_NAME_CHARS
        if is_long or not pattern.fullmatch(line) or ".." in line:
            where = byte_source(config.base, config.transfer).address(path)
            raise PermanentError(f"{where}, line {number}: {line[:200]!r} is not the path of such a file.")
    return paths


def chosen_places(config: SourceConfig, paths: Sequence[str], where: str) -> list[int]:
    """Return the places in a listing of the files that the recipe asks for, in its order if it lists them."""
    warcs, count = config.warcs or 1, len(paths)
    if warcs == "all":
        return list(range(count))
    if isinstance(warcs, int | WarcSample):
        wanted, keys = warcs if isinstance(warcs, int) else warcs.sample, list(range(count))
        if wanted > count:
            _log.warning("%s: %d WARC files were asked for, %d is all there are", where, wanted, count)
        if isinstance(warcs, WarcSample):
            keys = [xxhash.xxh3_64_intdigest(path, warcs.seed) for path in paths]
        return sorted(sorted(range(count), key=lambda place: (keys[place], place))[:wanted])
    if isinstance(warcs, str):
        first, _, last = warcs.partition("-")
        warcs = tuple(range(int(first), min(int(last), count) + 1))
    if too_large := [place for place in warcs if place >= count]:
        raise PermanentError(
            f"source.warcs asks for place {too_large[0]}, but {where} lists {count} WARC files: 0 to {count - 1}."
        )
    return list(warcs)


def warc_name(path: str) -> str:
    """Return the base name of a WARC without its endings: the first half of its documents' ids."""
    return PurePosixPath(path).name.removesuffix(".gz").removesuffix(".warc")


def _advice(config: SourceConfig, crawl: str) -> str:
    crawls: list[str] = []
    with contextlib.suppress(PermanentError, TemporaryError):
        crawls = known_crawls(config)
    if not crawls:
        return "Check source.base and source.crawl."
    near = difflib.get_close_matches(crawl, [name for name in crawls if name != crawl], n=1, cutoff=0.0)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"Set source.crawl to another crawl: {hint}The source has {len(crawls)}, the newest is {_newest(crawls)}."


def _refuse_pages(body: bytes) -> None:
    """Raise PermanentError for an HTML page: a wrong base or a gateway will send the same again."""
    if is_markup(body):
        raise PermanentError(
            f"source.base answers with a web page where a listing should be; it begins with: {first_words(body)!r}."
        )


def _crawl_names(body: bytes) -> list[str]:
    _refuse_pages(body)
    try:
        return [str(entry["id"]) for entry in parse_json(body)]
    except (ValueError, TypeError, KeyError) as error:
        raise TemporaryError(f"collinfo.json is not a list of crawls with an id ({error}).") from error


def _lines(body: bytes) -> list[str]:
    """Return the lines of a gzip file, which may have several members."""
    _refuse_pages(body)
    try:
        listing = inflate(body, GZIP, _MOST_LISTING_BYTES + 1)
        lines = listing.data.decode("ascii").split("\n")
    except (zlib.error, UnicodeDecodeError) as error:
        raise TemporaryError(f"The listing arrived damaged ({error}).") from error
    if len(listing.data) > _MOST_LISTING_BYTES:
        raise PermanentError(f"The listing unpacks to more than the {_MOST_LISTING_BYTES:,} bytes expected there.")
    if not listing.complete or listing.end < len(body):
        raise TemporaryError(f"The listing can be read up to byte {listing.end:,} of {len(body):,} only.")
    return [line.strip() for line in lines if line.strip()]
