"""Archives that others wrote, some of them damaged: what comes out of each, to the record.

- chunked, gzip within chunks, gzip, brotli: the payload is the page, as its length and digest say;
- one gzip member for the whole file (`bad-non-chunked`): its n-th record is at offset n;
- a record torn into three gzip members (`wrong-chunks`), and records without a digest, or with one of the coded body;
- a file that ends inside its only record (`clipped`): the page as far as it goes, marked as truncated.

Skipped where the archives are not beside the repository.
"""

import json
import zlib
from pathlib import Path

import pytest

from tasks.base.errors import PermanentError
from tasks.warc.reader import Page, ReadLimits, Unreadable, read_pages
from tests.golden.make_odd_warcs import GOLDEN, archives, contents

EXPECTED = json.loads(GOLDEN.read_text())


@pytest.fixture
def odd_warcs(common_crawl: Path) -> Path:
    """Their folder."""
    return common_crawl / "odd-warcs"


def unpacked(data: bytes) -> bytes:
    """All gzip members, the last as far as it goes."""
    whole = b""
    while data:
        member = zlib.decompressobj(31)
        whole += member.decompress(data)
        data = member.unused_data
    return whole


def test_every_archive_is_expected(odd_warcs: Path) -> None:
    assert [archive.name for archive in archives(odd_warcs)] == list(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_what_comes_out(name: str, odd_warcs: Path) -> None:
    assert contents(odd_warcs / name) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_is_lost_that_the_archives_list_counts(name: str, odd_warcs: Path) -> None:
    """The list was made with another reader, and gives fewer records where that one stopped."""
    manifest = [json.loads(line) for line in (odd_warcs / "MANIFEST.jsonl").read_text().splitlines()]
    [listed] = [entry for entry in manifest if entry["file"] == name]
    found = EXPECTED[name]
    responses = [row for row in found["items"] if len(row) > 3]
    assert len(responses) >= listed["response"]
    assert len(responses) + sum(found["others"].values()) >= listed["records"]
    if listed["error"] is None:
        assert len(responses) == listed["response"]


@pytest.mark.parametrize("name", [name for name in EXPECTED if name.endswith(".gz")])
def test_an_archive_without_its_last_bytes_gives_all_before_them(name: str, odd_warcs: Path, tmp_path: Path) -> None:
    data = (odd_warcs / name).read_bytes()
    whole = EXPECTED[name]["items"]
    (tmp_path / name).write_bytes(data[:-40])
    cut = contents(tmp_path / name)["items"]
    assert cut[: len(whole) - 1] == whole[:-1]
    assert len(cut) <= len(whole) + 1


@pytest.mark.parametrize("name", [name for name in EXPECTED if name.endswith(".gz")])
def test_unpacked_it_gives_the_same_pages(name: str, odd_warcs: Path, tmp_path: Path) -> None:
    """A reader of uncompressed files sees the same records, the clipped one too; only their places differ."""
    (tmp_path / name).write_bytes(unpacked((odd_warcs / name).read_bytes()))
    plain = contents(tmp_path / name)
    assert [row[1:] for row in plain["items"]] == [row[1:] for row in EXPECTED[name]["items"]]
    assert plain["others"] == EXPECTED[name]["others"]


def test_the_clipped_page_says_so(odd_warcs: Path) -> None:
    archive = odd_warcs / "chatnoir-resiliparse__clipped.warc.gz"
    with archive.open("rb") as stream:
        [page] = read_pages(stream, ReadLimits())
    assert isinstance(page, Page)
    assert (page.truncated, page.digest_ok, page.http_status) == ("clipped", None, 200)
    assert page.payload.lstrip().startswith(b"<!DOCTYPE html>")
    with archive.open("rb") as stream:
        assert list(read_pages(stream, ReadLimits(), allow_clipped_end=True)) == []


@pytest.mark.parametrize(
    ("begins", "named"),
    [
        (b"\x04\x22\x4d\x18", "an lz4 file"),
    ],
)
def test_archives_packed_otherwise_are_refused_by_name(begins: bytes, named: str, tmp_path: Path) -> None:
    archive = tmp_path / "a.warc.lz4"
    archive.write_bytes(begins + bytes(100))
    with archive.open("rb") as stream, pytest.raises(PermanentError, match=f"{named}; unpack it"):
        list[Page | Unreadable](read_pages(stream, ReadLimits()))
