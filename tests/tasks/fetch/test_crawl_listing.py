"""Crawls and WARC files are found by the source's own listings; what is wrong with a listing is said."""

import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.base.errors import PermanentError, TemporaryError
from tasks.base.messages import first_words
from tasks.fetch.crawl_listing import SourceConfig, list_warcs, resolve_crawl, warc_name
from tasks.sources.transfer import TransferConfig, Unreachable
from tests.tasks.crawl_mirror import CRAWL, Mirror, refuse, running_mirror, warc_path, write_crawl

QUICK = TransferConfig(
    requests_per_second=10_000, first_pause_seconds=0.001, longest_pause_seconds=0.01, attempts=4, connect_attempts=3
)


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    write_crawl(tmp_path / "web", "CC-MAIN-2025-51", warcs=1)
    write_crawl(tmp_path / "web", CRAWL, warcs=5)
    with running_mirror(tmp_path / "web") as running:
        yield running


def config(base: str, **fields: Any) -> SourceConfig:
    return SourceConfig(base=base, transfer=QUICK, **fields)


def test_latest_is_the_newest_crawl_over_http_and_in_a_folder(mirror: Mirror) -> None:
    assert resolve_crawl(config(mirror.base)) == CRAWL
    assert resolve_crawl(config(str(mirror.root))) == CRAWL


def test_a_source_without_collinfo_is_listed(mirror: Mirror) -> None:
    (mirror.root / "collinfo.json").unlink()
    assert resolve_crawl(config(str(mirror.root))) == CRAWL


def test_folders_beside_the_crawls_are_not_the_latest(mirror: Mirror) -> None:
    (mirror.root / "collinfo.json").unlink()
    for name in ("CC-NEWS", "contrib"):
        (mirror.root / "crawl-data" / name).mkdir()
    assert resolve_crawl(config(str(mirror.root))) == CRAWL


def test_a_named_crawl_needs_no_request(mirror: Mirror) -> None:
    assert resolve_crawl(config(mirror.base, crawl="CC-MAIN-2013-20")) == "CC-MAIN-2013-20"
    assert mirror.asked == []


@pytest.mark.parametrize(
    ("warcs", "places"),
    [
        (1, [0]),
        (3, [0, 1, 2]),
        (99, [0, 1, 2, 3, 4]),
        ("all", [0, 1, 2, 3, 4]),
        ("1-3", [1, 2, 3]),
        ("4-4", [4]),
        ([4, 0], [4, 0]),
    ],
)
def test_warcs_are_chosen(mirror: Mirror, warcs: object, places: list[int]) -> None:
    found = list_warcs(config(mirror.base, warcs=warcs))
    assert found == [warc_path(place) for place in places]
    assert [warc_name(path) for path in found] == [f"{CRAWL}-{place:05d}" for place in places]


def test_a_sample_is_drawn_by_name_in_the_listings_order(mirror: Mirror) -> None:
    def drawn(size: int, seed: int = 0) -> list[int]:
        paths = list_warcs(config(mirror.base, warcs={"sample": size, "seed": seed}))
        return [int(warc_name(path)[-5:]) for path in paths]

    assert drawn(3, seed=1) == [0, 3, 4]
    assert drawn(3, seed=2) == [0, 1, 2]
    assert drawn(99) == [0, 1, 2, 3, 4]
    for size in range(1, 5):
        assert set(drawn(size)) < set(drawn(size + 1))
        assert drawn(size) == sorted(drawn(size))


@pytest.mark.parametrize("warcs", ["2-7", [0, 5]])
def test_places_beyond_the_crawl_are_an_error(mirror: Mirror, warcs: object) -> None:
    with pytest.raises(PermanentError, match=r"place 5, but .* lists 5 WARC files"):
        list_warcs(config(mirror.base, warcs=warcs))


@pytest.mark.parametrize("warcs", [0, -1, "3-1", "first", [], [1, 1], [-1], "1-", {"sample": 0}, {"seed": 1}])
def test_senseless_choices_are_refused(warcs: object) -> None:
    with pytest.raises(ValidationError, match="warcs"):
        SourceConfig(warcs=warcs)  # type: ignore[arg-type]


@pytest.mark.parametrize("crawl", ["../secret", "a/b", "", ".hidden"])
def test_a_crawls_name_cannot_leave_its_folder(crawl: str) -> None:
    with pytest.raises(ValidationError, match="crawl"):
        SourceConfig(crawl=crawl)


def test_an_unknown_crawl_names_the_nearest(mirror: Mirror) -> None:
    with pytest.raises(
        PermanentError, match=r"404.*did you mean CC-MAIN-2026-46\?.*has 2, the newest is CC-MAIN-2026-46"
    ):
        list_warcs(config(mirror.base, crawl="CC-MAIN-2026-47"))


def test_an_empty_crawl_is_an_error(mirror: Mirror) -> None:
    write_crawl(mirror.root, "CC-MAIN-2027-01", warcs=0)
    with pytest.raises(PermanentError, match="CC-MAIN-2027-01 lists no WARC files"):
        list_warcs(config(mirror.base))


def test_a_source_without_crawls_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="no crawl is listed"):
        resolve_crawl(config(str(tmp_path)))


LONG_NAMES = [f"crawl-data/{'n' * 300}.warc.gz", f"{'f/' * 600}x.warc.gz"]


@pytest.mark.parametrize(
    "line", ["../../etc/passwd", "/etc/x.warc.gz", "a/../b.warc.gz", "page.html", "a b.warc.gz", "a.\x0b", *LONG_NAMES]
)
def test_lines_that_are_no_warc_paths_are_refused(mirror: Mirror, line: str) -> None:
    listing = mirror.root / "crawl-data" / CRAWL / "warc.paths.gz"
    listing.write_bytes(gzip.compress(f"{warc_path(0)}\n{line}\n".encode()))
    with pytest.raises(PermanentError, match="line 2"):
        list_warcs(config(mirror.base))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"a":' * 200_000, "nested too deeply"),
        (f'[{{"id": {"9" * 5000}}}]', "not a list of crawls"),
        ('[{"name": "x"}]', "not a list of crawls"),
        (json.dumps([{"id": f"C{number}"} for number in range(10_001)]), "10,001 crawls are listed"),
        (json.dumps([{"id": f"CC-MAIN-{number}"} for number in range(400_000)]), "larger than"),
        (json.dumps([{"id": "n" * 300}]), "no crawl is listed"),
    ],
)
def test_a_list_of_crawls_that_none_is_ends_in_words(mirror: Mirror, content: str, message: str) -> None:
    (mirror.root / "collinfo.json").write_text(content)
    with pytest.raises(PermanentError, match=message):
        resolve_crawl(config(mirror.base))
    assert len(mirror.asked) <= 2


def test_a_crawls_name_is_no_longer_than_a_folders() -> None:
    with pytest.raises(ValidationError, match="crawl"):
        SourceConfig(crawl="n" * 300)


def test_a_busy_source_is_asked_again(mirror: Mirror) -> None:
    mirror.faults[:] = [refuse(503), refuse(403), refuse(503)]
    assert resolve_crawl(config(mirror.base)) == CRAWL
    assert len(mirror.asked) == 5


@pytest.mark.parametrize("spoilt", [0, 1, 2])
def test_a_list_of_crawls_is_believed_once_it_came_twice_alike(mirror: Mirror, spoilt: int) -> None:
    """It has no checksum, and one bit makes 2025 of 2026."""
    flipped = (mirror.root / "collinfo.json").read_bytes().replace(b"2026", b"2027")
    mirror.faults[:] = [None] * spoilt
    mirror.faults.append(lambda handler: handler.answer(200, flipped))
    assert resolve_crawl(config(mirror.base)) == CRAWL
    assert len(mirror.asked) == (2 if spoilt == 2 else 3)


def test_having_come_once_counts_as_progress(mirror: Mirror) -> None:
    mirror.faults[:] = [*[refuse(503)] * 3, None, *[refuse(503)] * 3, None]
    assert resolve_crawl(config(mirror.base)) == CRAWL
    assert len(mirror.asked) == 8


def test_a_listing_that_arrives_damaged_is_fetched_again(mirror: Mirror) -> None:
    listing = (mirror.root / "crawl-data" / CRAWL / "warc.paths.gz").read_bytes()
    mirror.faults[:] = [
        None,
        None,
        lambda h: h.answer(200, listing[:-8] + bytes([listing[-8] ^ 1]) + listing[-7:]),
        None,
    ]
    assert len(list_warcs(config(mirror.base, warcs="all"))) == 5
    assert [path for path, _ in mirror.asked].count(f"/crawl-data/{CRAWL}/warc.paths.gz") == 2


@pytest.mark.parametrize("members", [1, 3])
def test_a_listing_that_unpacks_to_more_than_any_has_is_refused(
    mirror: Mirror, members: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a member ends exactly at the limit, which zlib would take for no limit."""
    lines = "".join(f"{warc_path(number)}\n" for number in range(5)).encode()
    listing = mirror.root / "crawl-data" / CRAWL / "warc.paths.gz"
    listing.write_bytes(gzip.compress(lines) * members)
    monkeypatch.setattr("tasks.fetch.crawl_listing._MOST_LISTING_BYTES", len(lines))
    if members == 1:
        assert len(list_warcs(config(mirror.base, warcs="all"))) == 5
    else:
        with pytest.raises(PermanentError, match="more than the"):
            list_warcs(config(mirror.base))
        assert len(mirror.asked) == 3


def test_a_listing_may_have_several_members_and_nothing_else(mirror: Mirror) -> None:
    packed = [gzip.compress(f"{warc_path(number)}\n".encode()) for number in range(5)]
    listing = mirror.root / "crawl-data" / CRAWL / "warc.paths.gz"
    listing.write_bytes(b"".join(packed))
    assert len(list_warcs(config(mirror.base, warcs="all"))) == 5
    listing.write_bytes(b"".join([*packed[:3], b"?", *packed[3:]]))
    with pytest.raises(TemporaryError, match="up to byte"):
        list_warcs(config(mirror.base, warcs="all"))


def test_a_web_page_instead_of_a_listing_is_quoted(mirror: Mirror) -> None:
    mirror.faults[:] = [lambda h: h.answer(200, b"<html><h1>Welcome to the hotel network</h1></html>")]
    with pytest.raises(PermanentError, match="Welcome to the hotel network"):
        resolve_crawl(config(mirror.base))
    assert len(mirror.asked) == 1


def test_a_refused_connection_names_the_base_and_what_to_do() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(Unreachable, match=rf"{base}.*answered 3 times.*check source.base") as caught:
            resolve_crawl(config(base))
    assert isinstance(caught.value, TemporaryError)


def test_a_base_that_is_a_file_is_no_crawl(tmp_path: Path) -> None:
    (tmp_path / "x.warc.gz").write_bytes(b"no folder")
    with pytest.raises(PermanentError, match="no crawl is listed"):
        resolve_crawl(config(str(tmp_path / "x.warc.gz")))


def test_what_a_server_says_cannot_write_to_the_terminal() -> None:
    assert first_words(b"<html>\x1b[2J\x1b]0;x\x07 Just <b>a\r\nmoment") == "[2J ]0;x Just a moment"


def test_any_fsspec_url_is_a_base(tmp_path: Path) -> None:
    write_crawl(tmp_path, CRAWL, warcs=2)
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path) + "/", "/listing-test", recursive=True)
    try:
        source = config("memory://listing-test", warcs="all")
        assert resolve_crawl(source) == CRAWL
        assert len(list_warcs(source)) == 2
    finally:
        memory.rm("/listing-test", recursive=True)


@given(st.integers(0, 30), st.integers(0, 30))
def test_a_range_is_valid_exactly_if_it_does_not_run_backwards(first: int, last: int) -> None:
    text = f"{first}-{last}"
    if first <= last:
        assert SourceConfig(warcs=text).warcs == text
    else:
        with pytest.raises(ValidationError, match="ends before it begins"):
            SourceConfig(warcs=text)
