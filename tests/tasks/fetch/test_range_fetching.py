"""Chosen records of a WARC arrive whole however the mirror behaves, and the stored file is always the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tasks.base.errors import PermanentError, TemporaryError
from tasks.fetch.page_selection import SelectConfig
from tasks.fetch.range_fetching import fetch_records
from tasks.fetch.range_planning import Records, checked_records
from tasks.sources.downloading import Fetched
from tasks.sources.transfer import TransferConfig
from tests.tasks.crawl_mirror import Mirror, cut, flip, hang_up, refuse, running_mirror, serve, warc_path
from tests.tasks.indexed_crawl import IndexedPage, write_indexed_crawl

QUICK = TransferConfig(
    first_pause_seconds=0.001,
    longest_pause_seconds=0.01,
    longest_retry_after_seconds=0.01,
    attempts=4,
    connect_attempts=3,
    requests_per_second=10_000,
)
RANGES = SelectConfig(merge_gap_bytes=0, whole_from_share=1.0)
WHOLE = SelectConfig(whole_from_share=0.0)
PATH = warc_path(0)


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    write_indexed_crawl(tmp_path / "web", warcs=1)
    with running_mirror(tmp_path / "web") as running:
        yield running


@pytest.fixture
def records(mirror: Mirror, tmp_path: Path) -> Records:
    """Five of the twelve pages, two of them neighbours."""
    pages = sorted(write_indexed_crawl(tmp_path / "again", warcs=1), key=lambda page: page.offset)
    return records_of([pages[place] for place in (1, 2, 5, 8, 11)])


def records_of(pages: list[IndexedPage]) -> Records:
    return checked_records(PATH, [page.offset for page in pages], [page.length for page in pages])


def wanted_bytes(mirror: Mirror, records: Records) -> bytes:
    whole = (mirror.root / PATH).read_bytes()
    return b"".join(whole[begin:end] for begin, end in zip(records.offsets, records.ends, strict=True))


def fetch(base: str, records: Records, to: Path | str, select: SelectConfig = RANGES, **fields: Any) -> Fetched:
    return fetch_records(base, records, to, select, QUICK.model_copy(update=fields))


def ranges(mirror: Mirror) -> list[str | None]:
    return [asked for _, asked in mirror.asked]


@pytest.mark.parametrize("select", [RANGES, WHOLE, SelectConfig(merge_gap_bytes=2000, whole_from_share=1.0)])
def test_the_wanted_records_alone_are_stored(
    mirror: Mirror, records: Records, tmp_path: Path, select: SelectConfig
) -> None:
    for base in (mirror.base, str(mirror.root)):
        fetched = fetch(base, records, tmp_path / "out.warc.gz", select)
        content = (tmp_path / "out.warc.gz").read_bytes()
        assert content == wanted_bytes(mirror, records)
        assert (fetched.bytes, fetched.check.records, fetched.check.verified) == (len(content), 5, 5)
    assert not list(tmp_path.glob("out.warc.gz.*"))


def test_each_stretch_is_one_request(mirror: Mirror, records: Records, tmp_path: Path) -> None:
    fetch(mirror.base, records, tmp_path / "out.warc.gz")
    assert ranges(mirror) == [
        f"bytes={begin}-{end - 1}" for begin, end in zip(records.offsets, records.ends, strict=True)
    ]
    mirror.asked.clear()
    fetch(mirror.base, records, tmp_path / "out.warc.gz", WHOLE)
    assert ranges(mirror) == [f"bytes={records.offsets[0]}-{records.ends[-1] - 1}"]


@pytest.mark.parametrize("select", [RANGES, WHOLE])
@pytest.mark.parametrize(
    "faults",
    [
        [refuse(503), refuse(403), None, refuse(429, Retry_After="1")],
        [cut(0.3), None, cut(0.9), cut(0.0), None],
        [None, hang_up, None, hang_up],
        [flip(60)],
        [None, None, flip(300), None, None, flip(10)],
    ],
    ids=["busy", "cut", "hang-up", "flipped", "flipped-twice"],
)
def test_a_mirror_that_misbehaves_gives_the_same_file(
    mirror: Mirror, records: Records, tmp_path: Path, select: SelectConfig, faults: list[Any]
) -> None:
    mirror.faults[:] = faults
    fetch(mirror.base, records, tmp_path / "out.warc.gz", select)
    assert (tmp_path / "out.warc.gz").read_bytes() == wanted_bytes(mirror, records)


def test_only_the_damaged_record_is_fetched_again(mirror: Mirror, records: Records, tmp_path: Path) -> None:
    mirror.faults[:] = [flip(int(records.offsets[3] - records.offsets[0]) + 50)]
    fetch(mirror.base, records, tmp_path / "out.warc.gz", WHOLE)
    assert ranges(mirror)[1:] == [f"bytes={records.offsets[3]}-{records.ends[3] - 1}"]


def test_an_interrupted_fetch_goes_on_where_it_was(mirror: Mirror, records: Records, tmp_path: Path) -> None:
    mirror.faults[:] = [None, None, *[refuse(503)] * 4]
    with pytest.raises(TemporaryError, match="503"):
        fetch(mirror.base, records, tmp_path / "out.warc.gz")
    mirror.asked.clear()
    mirror.faults.clear()
    fetch(mirror.base, records, tmp_path / "out.warc.gz")
    assert len(mirror.asked) == 3
    assert (tmp_path / "out.warc.gz").read_bytes() == wanted_bytes(mirror, records)


def test_what_is_left_of_other_records_is_not_used(mirror: Mirror, records: Records, tmp_path: Path) -> None:
    mirror.faults[:] = [None, None, *[refuse(503)] * 4]
    with pytest.raises(TemporaryError):
        fetch(mirror.base, records, tmp_path / "out.warc.gz")
    mirror.faults.clear()
    others = Records(PATH, records.offsets[2:], records.lengths[2:])
    fetch(mirror.base, others, tmp_path / "out.warc.gz")
    assert (tmp_path / "out.warc.gz").read_bytes() == wanted_bytes(mirror, others)


def test_a_file_that_changes_meanwhile_is_begun_anew(mirror: Mirror, records: Records, tmp_path: Path) -> None:
    """The answers to the second request and all after it carry another tag than the first."""
    mirror.faults[:] = [lambda handler: serve(handler, tag='"old"')]
    fetch(mirror.base, records, tmp_path / "out.warc.gz")
    assert (tmp_path / "out.warc.gz").read_bytes() == wanted_bytes(mirror, records)
    assert ranges(mirror).count(f"bytes={records.offsets[0]}-{records.ends[0] - 1}") == 2


def test_a_server_without_ranges_sends_the_file_once(mirror: Mirror, records: Records, tmp_path: Path) -> None:
    mirror.faults[:] = [lambda handler: serve(handler, ranges=False)] * 9
    fetch(mirror.base, records, tmp_path / "out.warc.gz")
    assert (tmp_path / "out.warc.gz").read_bytes() == wanted_bytes(mirror, records)
    assert len(mirror.asked) == 1


def test_a_record_damaged_at_the_source_stays_for_the_reader(mirror: Mirror, records: Records, tmp_path: Path) -> None:
    content = bytearray((mirror.root / PATH).read_bytes())
    content[int(records.offsets[2]) + 40] ^= 1
    (mirror.root / PATH).write_bytes(content)
    fetch(mirror.base, records, tmp_path / "out.warc.gz")
    assert (tmp_path / "out.warc.gz").read_bytes() == wanted_bytes(mirror, records)
    assert len(mirror.asked) == 6


def test_a_record_that_arrives_otherwise_each_time_is_an_error(
    mirror: Mirror, records: Records, tmp_path: Path
) -> None:
    mirror.faults[:] = [None, None, None, None, *(flip(place) for place in (20, 30, 40, 50, 60))]
    with pytest.raises(PermanentError, match=r"arrived damaged 5 times, each time differently"):
        fetch(mirror.base, records, tmp_path / "out.warc.gz")
    assert not (tmp_path / "out.warc.gz").exists()


def test_places_beyond_the_file_are_an_error_at_once(mirror: Mirror, tmp_path: Path) -> None:
    size = (mirror.root / PATH).stat().st_size
    for offset in (size - 10, size + 1000):
        mirror.asked.clear()
        with pytest.raises(PermanentError, match="not the file of the index"):
            fetch(mirror.base, checked_records(PATH, [offset], [100]), tmp_path / "out.warc.gz")
        assert len(mirror.asked) == 1


def test_places_that_hold_no_records_are_an_error(mirror: Mirror, records: Records, tmp_path: Path) -> None:
    shifted = checked_records(PATH, records.offsets + 3, records.lengths)
    with pytest.raises(PermanentError, match=r"none of the 5 places that the index gives holds a WARC record"):
        fetch(mirror.base, shifted, tmp_path / "out.warc.gz")


def test_more_than_is_allowed_is_not_fetched(mirror: Mirror, records: Records, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"max_file_bytes \(100\)"):
        fetch(mirror.base, records, tmp_path / "out.warc.gz", max_file_bytes=100)
    assert mirror.asked == []


def test_the_records_go_to_a_url_as_well(mirror: Mirror, records: Records) -> None:
    url = "memory://ranged/out.warc.gz"
    fetch(mirror.base, records, url)
    with fsspec.open(url, "rb") as file:
        assert file.read() == wanted_bytes(mirror, records)
