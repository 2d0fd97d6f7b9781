"""The CDX file beside a WARC file: which records it has, for crawls and folders without a columnar index.

Notable:
- Both forms are read: CDXJ (key, time, JSON) and CDX of named columns
  (https://iipc.github.io/warc-specifications/specifications/cdx-format/cdx-2015/). What a sidecar says is about its own
  WARC file, whatever name stands in it.
- The conditions are those of the columnar index. A CDX of named columns knows no languages, and of media types only the
  one that the server named.
"""

import zlib
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from tasks.base.errors import PermanentError, TemporaryError
from tasks.base.hosts import ascii_host
from tasks.base.plain_data import parse_json, without_surrogates
from tasks.fetch.page_selection import SORT_COLUMN, SelectConfig, row_filter, without_scheme
from tasks.sources.byte_source import byte_source
from tasks.sources.downloading import read_small
from tasks.sources.transfer import NotFound, TransferConfig
from tasks.warc.gzip_inflating import GZIP, GZIP_MAGIC, inflate

SIDECAR_ENDINGS = (".cdx.gz", ".cdxj.gz", ".cdx", ".cdxj")
_MOST_BYTES = 256 << 20
_MOST_UNPACKED_BYTES = 1 << 30
_NAMED = {"a": "url", "m": "mime", "s": "status", "S": "length", "V": "offset"}
"""Letters of a CDX header to CDXJ's names of the same."""
_COLUMNS = pa.schema(
    [
        (SORT_COLUMN, pa.string()),
        ("url", pa.string()),
        ("url_host_name", pa.string()),
        ("url_host_tld", pa.string()),
        ("fetch_status", pa.int16()),
        ("content_mime_detected", pa.string()),
        ("content_languages", pa.string()),
        ("warc_record_offset", pa.int64()),
        ("warc_record_length", pa.int64()),
    ]
)
"""The columnar index's names, but for the WARC file's."""


class CdxSidecar:
    """The records of one WARC file, at the source; used as `IndexFile` is."""

    def __init__(self, base: str, warc: str, transfer: TransferConfig) -> None:
        self._base, self._warc, self._transfer = base, warc, transfer
        self.urls_found: set[str] = set()
        self.bytes_read = 0

    def selected(self, select: SelectConfig, urls: Collection[str] = ()) -> Iterator[pa.Table]:
        """Yield where the records that meet all conditions lie; arguments and columns as in `IndexFile.selected`.

        Raises PermanentError where there is no sidecar, a line of it is wrong, or it lacks a column that is asked for.
        """
        path, table = self._read()
        if select.languages and table.num_rows == table["content_languages"].null_count:
            raise PermanentError(f"{path} names no languages, which source.select.languages needs.")
        condition = row_filter(select, urls)
        found = table if condition is None else table.filter(condition)
        if select.urls:
            self.urls_found.update(map(without_scheme, found["url"].to_pylist()))
        names = pa.array([self._warc] * found.num_rows, pa.string()).dictionary_encode()
        yield found.append_column("warc_filename", names)

    def _read(self) -> tuple[str, pa.Table]:
        """Return the address of the sidecar and its records, without those that only repeat another."""
        source = byte_source(self._base, self._transfer)
        for path in _names_beside(self._warc):
            try:
                lines = read_small(self._base, path, self._transfer, self._lines, _MOST_BYTES, path.endswith(".gz"))
            except NotFound:
                continue
            rows = list(_rows(lines, source.address(path)))
            return source.address(path), pa.Table.from_pylist(rows, _COLUMNS)
        raise PermanentError(
            f"{source.address(self._warc)}: source.select needs the crawl's columnar index, or a CDX file beside each "
            "WARC file: leave select out."
        )

    def _lines(self, body: bytes) -> list[str]:
        self.bytes_read = len(body)
        try:
            unpacked = inflate(body, GZIP, _MOST_UNPACKED_BYTES) if body.startswith(GZIP_MAGIC) else None
            text = (unpacked.data if unpacked else body).decode()
        except (zlib.error, UnicodeDecodeError) as error:
            raise TemporaryError(f"The CDX file arrived damaged ({error}).") from error
        if unpacked and not (unpacked.complete and unpacked.end == len(body)):
            raise TemporaryError(f"The CDX file can be read up to byte {unpacked.end:,} of {len(body):,} only.")
        return text.split("\n")


def _names_beside(warc: str) -> Iterator[str]:
    """Yield what the sidecar of a WARC file may be called; the last one is where Nutch's exporter puts it."""
    plain = warc.removesuffix(".gz").removesuffix(".warc")
    for name in (plain, f"{plain}.warc", warc):
        yield from (f"{name}{ending}" for ending in SIDECAR_ENDINGS)
    path = PurePosixPath(plain)
    yield str(path.parent.parent / "cdx" / path.parent.name / f"{path.name}.cdx.gz")


def _rows(lines: list[str], where: str) -> Iterator[dict[str, Any]]:
    letters: list[str] = []
    for number, line in enumerate(lines, 1):
        if line.split()[:1] == ["CDX"]:
            letters = line.split()[1:]
            continue
        if not line.strip() or line.startswith("!"):
            continue
        try:
            key, fields = _fields(line, letters)
            if fields.get("mime") != "warc/revisit":
                yield _row(key, fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            shown = f"{where}, line {number}: {line[:200]!r}"
            raise PermanentError(f"{shown} is no record of a CDX file: {error!r}") from error


def _fields(line: str, letters: list[str]) -> tuple[str, dict[str, Any]]:
    """Return the key of a line and its fields by CDXJ's names."""
    if letters:
        values = dict(zip(letters, line.split(), strict=True))
        return values["N"], {name: values[letter] for letter, name in _NAMED.items()}
    key, _, content = line.split(" ", 2)
    return key, parse_json(content)


def _row(key: str, fields: dict[str, Any]) -> dict[str, Any]:
    url, status = without_surrogates(str(fields["url"])), str(fields.get("status", "-"))
    host = _host(url)
    return {
        SORT_COLUMN: without_surrogates(key),
        "url": url,
        "url_host_name": host,
        "url_host_tld": host.rpartition(".")[2],
        "fetch_status": int(status) if len(status) == 3 and status.isdecimal() else None,
        "content_mime_detected": _text(fields.get("mime-detected", fields.get("mime"))),
        "content_languages": _text(fields.get("languages")),
        "warc_record_offset": _bytes(fields["offset"]),
        "warc_record_length": _bytes(fields["length"]),
    }


def _text(value: Any) -> str | None:
    if not isinstance(value, str | None):
        raise ValueError(f"{str(value)[:40]!r} is no text")
    return None if value is None else without_surrogates(value)


def _host(url: str) -> str:
    """Return the host of an address, as the index writes it; "" where it has none: crawls meet any address."""
    try:
        return ascii_host(urlsplit(url).hostname or "")
    except ValueError:
        return ""


def _bytes(value: Any) -> int:
    if not (str(value).isdecimal() and len(str(value)) <= 15):
        raise ValueError(f"{str(value)[:40]!r} is no number of bytes")
    return int(value)
