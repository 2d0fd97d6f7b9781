"""The columnar index is read as far as it is needed, over any source, and what is wrong with it is said."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.base.errors import PermanentError
from tasks.fetch.cdx_sidecar import CdxSidecar
from tasks.fetch.columnar_index import IndexFile, list_index_files
from tasks.fetch.crawl_listing import SourceConfig
from tasks.fetch.page_selection import SelectConfig
from tasks.sources.transfer import NotFound
from tests.tasks.crawl_mirror import CRAWL, Mirror, cut, flip, refuse, running_mirror, serve
from tests.tasks.fetch.test_range_fetching import QUICK
from tests.tasks.indexed_crawl import IndexedPage, write_index, write_indexed_crawl, write_listing

WARC_NAME = 7
"""Place of the column warc_filename in the files made here."""
PATIENT = QUICK.model_copy(update={"attempts": 20, "refetches": 10})
LISTING = f"crawl-data/{CRAWL}/cc-index-table.paths.gz"


@pytest.fixture
def crawl(tmp_path: Path) -> list[IndexedPage]:
    return write_indexed_crawl(tmp_path / "web", warcs=4, pages_per_warc=20)


@pytest.fixture
def mirror(crawl: list[IndexedPage], tmp_path: Path) -> Iterator[Mirror]:
    with running_mirror(tmp_path / "web") as running:
        yield running


def source(base: str) -> SourceConfig:
    return SourceConfig(base=base, crawl=CRAWL, transfer=PATIENT)


def selected(base: str, **conditions: Any) -> set[tuple[str, int, int]]:
    """(WARC, offset, length) of the records that all files of the index give."""
    found: list[tuple[str, int, int]] = []
    for path in list_index_files(source(base)):
        for table in IndexFile(base, path, PATIENT).selected(SelectConfig(**conditions)):
            found += zip(*(column.to_pylist() for column in table.columns), strict=True)
    assert len(set(found)) == len(found)
    return set(found)


def places(pages: list[IndexedPage]) -> set[tuple[str, int, int]]:
    return {(page.warc, page.offset, page.length) for page in pages}


def test_conditions_choose_the_same_from_a_mirror_and_a_folder(mirror: Mirror, crawl: list[IndexedPage]) -> None:
    german = [page for page in crawl if "deu" in (page.languages or "")]
    below = [page for page in crawl if page.host in ("blog.example.org", "example.org")]
    for base in (mirror.base, str(mirror.root)):
        assert selected(base) == places(crawl)
        assert selected(base, languages=["de"]) == places(german)
        assert selected(base, domains=["example.org"]) == places(below)
        assert selected(base, domains=["example.org"], languages=["de"]) == places(below) & places(german)
        assert selected(base, tlds=["fr"]) == set()


@pytest.mark.parametrize(
    ("limit", "message"), [("_MOST_GROUP_ROWS", "more than 4 rows"), ("_MOST_GROUP_BYTES", "more than 4 bytes")]
)
def test_a_row_group_that_none_is_so_large_is_refused(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, limit: str, message: str
) -> None:
    monkeypatch.setattr(f"tasks.fetch.columnar_index.{limit}", 4)
    with pytest.raises(PermanentError, match=message):
        selected(mirror.base, languages=["de"])


def test_a_domain_is_found_without_reading_what_cannot_hold_it(mirror: Mirror, crawl: list[IndexedPage]) -> None:
    path = list_index_files(source(mirror.base))[0]
    mirror.asked.clear()
    index = IndexFile(mirror.base, path, QUICK)
    assert sum(table.num_rows for table in index.selected(SelectConfig(domains=("nowhere.zzz",)))) == 0
    assert len(mirror.asked) == 3, "its length, and its footer twice"
    host = crawl[0].host
    wanted = places([page for page in crawl if page.host == host])
    assert {
        tuple(row.values()) for table in index.selected(SelectConfig(domains=(host,))) for row in table.to_pylist()
    } == wanted
    groups = -(-len(wanted) // 5) + 1
    assert len(mirror.asked) <= 3 + 2 * groups


def test_an_index_arrives_whole_from_a_mirror_that_misbehaves(mirror: Mirror, crawl: list[IndexedPage]) -> None:
    for rest in range(1, 8, 3):
        mirror.faults[:] = [None] * rest
        for at in range(3, 200, 50):
            mirror.faults += [refuse(503), cut(0.4), None, refuse(403), flip(at), flip(at + 20), None, cut(0.0)]
        wanted = [page for page in crawl if "eng" in (page.languages or "")]
        assert selected(mirror.base, languages=["en"]) == places(wanted)


@pytest.mark.parametrize(
    ("column", "conditions", "reason"),
    [
        ("content_languages", {"languages": ["de"]}, "source.select.languages"),
        ("url_host_name", {"domains": ["example.org"]}, "source.select.domains"),
        ("warc_record_length", {}, "every selection"),
    ],
)
def test_a_column_that_is_missing_is_named(
    tmp_path: Path, crawl: list[IndexedPage], column: str, conditions: dict[str, Any], reason: str
) -> None:
    left_out: dict[str, Any] = {column: None}
    write_index(tmp_path / "index.parquet", crawl, **left_out)
    index = IndexFile(str(tmp_path), "index.parquet", QUICK)
    with pytest.raises(PermanentError, match=rf"index.parquet: the index has no column {column}, which {reason} needs"):
        list(index.selected(SelectConfig(**conditions)))


@pytest.mark.parametrize("compression", ["gzip", "zstd", "snappy", "none"])
def test_without_the_sort_column_and_in_any_compression(
    tmp_path: Path, crawl: list[IndexedPage], compression: str
) -> None:
    write_index(tmp_path / "index.parquet", crawl, compression=compression, url_surtkey=None, url_host_tld=None)
    tables = IndexFile(str(tmp_path), "index.parquet", QUICK).selected(SelectConfig(domains=("example.org",)))
    assert sum(table.num_rows for table in tables) == sum(
        page.host.endswith(".org") and "not" not in page.host for page in crawl
    )


def test_pages_without_a_language_are_in_none(tmp_path: Path, crawl: list[IndexedPage]) -> None:
    write_index(tmp_path / "index.parquet", crawl, content_languages=pa.nulls(len(crawl), pa.string()))
    assert not list(IndexFile(str(tmp_path), "index.parquet", QUICK).selected(SelectConfig(languages=("de",))))


def test_a_row_group_damaged_at_the_source_is_an_error(mirror: Mirror) -> None:
    path = list_index_files(source(mirror.base))[0]
    content = bytearray((mirror.root / path).read_bytes())
    names = pq.read_metadata(mirror.root / path).row_group(0).column(WARC_NAME)
    middle, end = names.total_compressed_size // 2, names.total_compressed_size
    content[names.dictionary_page_offset + middle : names.dictionary_page_offset + end] = bytes(end - middle)
    (mirror.root / path).write_bytes(content)
    with pytest.raises(PermanentError, match=r"row group 0: unreadable at the source"):
        list(IndexFile(mirror.base, path, QUICK).selected(SelectConfig()))


@pytest.mark.parametrize("content", [b"", b"<html>Welcome</html>", b"PAR1" + b"\xff" * 20 + b"PAR1"])
def test_what_is_no_parquet_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "index.parquet").write_bytes(content)
    with pytest.raises(PermanentError, match=r"index.parquet"):
        list(IndexFile(str(tmp_path), "index.parquet", QUICK).selected(SelectConfig()))


def test_a_crawl_without_an_index_says_so(mirror: Mirror) -> None:
    (mirror.root / LISTING).unlink()
    with pytest.raises(NotFound):
        list_index_files(source(mirror.base))
    with pytest.raises(PermanentError, match=r"source\.select needs the crawl's columnar index, or a CDX file beside"):
        next(CdxSidecar(mirror.base, "a/warc/b.warc.gz", QUICK).selected(SelectConfig()))
    write_listing(mirror.root / LISTING, ["cc-index/table/subset=robotstxt/part-0.parquet"])
    with pytest.raises(PermanentError, match="no file with subset=warc"):
        list_index_files(source(mirror.base))
    write_listing(mirror.root / LISTING, ["../../part-0.parquet"])
    with pytest.raises(PermanentError, match="line 1"):
        list_index_files(source(mirror.base))


def test_a_source_that_does_not_tell_lengths_is_asked_again(mirror: Mirror, crawl: list[IndexedPage]) -> None:
    mirror.faults[:] = [None, lambda handler: serve(handler, lambda body: b"")]
    assert selected(mirror.base) == places(crawl)


def test_the_real_index_covers_the_crawl(common_crawl: Path) -> None:
    with gzip.open(common_crawl / "labels.jsonl.gz", "rt") as file:
        labels = [json.loads(line) for line in file]
    for crawl in ("CC-MAIN-2026-46", "CC-MAIN-2026-51"):
        found = set()
        for path in list_index_files(SourceConfig(base=str(common_crawl), crawl=crawl)):
            for table in IndexFile(str(common_crawl), path, QUICK).selected(SelectConfig()):
                found |= set(zip(*(column.to_pylist() for column in table.columns), strict=True))
        assert found == {
            (label["warc"], label["offset"], label["length"]) for label in labels if crawl in label["warc"]
        }
