"""Whatever the mirror does, the file arrives whole or the error says what to do, and what arrived is kept."""

import base64
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from functools import partial
from pathlib import Path, PurePosixPath
from random import Random

import fsspec
import httpx
import pytest

from tasks.base.errors import PermanentError, TemporaryError
from tasks.fetch.crawl_listing import SourceConfig, list_warcs
from tasks.sources.downloading import DamagedWarc, fetch_warc
from tasks.sources.http_source import _tag
from tasks.sources.retry_after import retry_after
from tasks.sources.transfer import NotFound, TransferConfig
from tasks.warc.content import NotAWarc
from tests.conftest import COMMON_CRAWL
from tests.tasks import crawl_mirror
from tests.tasks.crawl_mirror import (
    Handler,
    Mirror,
    cut,
    flip,
    gzip_members,
    hang_up,
    refuse,
    warc_path,
    warc_records,
)
from tests.tasks.warc_builder import http_response, record

QUICK = TransferConfig(
    requests_per_second=10_000,
    first_pause_seconds=0.001,
    longest_pause_seconds=0.01,
    longest_retry_after_seconds=0.01,
    attempts=4,
    read_timeout_seconds=2,
)
PATH = warc_path(2)


def test_a_mirrors_password_comes_from_netrc(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bytes
) -> None:
    """Not from the recipe, which is recorded and reported."""
    sent: list[str | None] = []

    def note(handler: Handler) -> None:
        sent.append(handler.headers.get("Authorization"))
        crawl_mirror.serve(handler)

    (tmp_path / "netrc").write_text("machine 127.0.0.1 login crawler password hunter2\n")
    (tmp_path / "netrc").chmod(0o600)
    for number, path in enumerate([tmp_path / "netrc", tmp_path / "gone"]):
        monkeypatch.setenv("NETRC", str(path))
        mirror.faults.append(note)
        fetch_warc(mirror.base, PATH, tmp_path / f"{number}.warc.gz", QUICK)
        assert (tmp_path / f"{number}.warc.gz").read_bytes() == whole
    assert sent == ["Basic " + base64.b64encode(b"crawler:hunter2").decode(), None]


@pytest.fixture
def whole(mirror: Mirror) -> bytes:
    return (mirror.root / PATH).read_bytes()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "store" / "warcs" / "x.warc.gz"


def leftovers(place: Path) -> list[str]:
    return sorted(file.name for file in place.parent.iterdir())


def test_a_file_arrives(mirror: Mirror, whole: bytes, place: Path) -> None:
    fetched = fetch_warc(mirror.base, PATH, place, QUICK)
    assert place.read_bytes() == whole
    assert (fetched.path, fetched.bytes) == (str(place), len(whole))
    assert fetched.digest == fetch_warc(str(mirror.root), PATH, place, QUICK).digest
    assert leftovers(place) == ["x.warc.gz"]


@pytest.mark.parametrize(
    "faults",
    [
        [refuse(503), refuse(403), refuse(429)],
        [refuse(500), hang_up, refuse(502)],
        [cut(), cut(), cut(), cut(), cut(), cut(), cut()],
        [cut(0.9), refuse(503), hang_up, cut(0.1), refuse(403)],
    ],
)
def test_temporary_faults_are_retried(
    mirror: Mirror, whole: bytes, place: Path, faults: list[crawl_mirror.Fault]
) -> None:
    mirror.faults[:] = faults
    fetch_warc(mirror.base, PATH, place, QUICK)
    assert place.read_bytes() == whole


def test_a_cut_body_is_resumed(mirror: Mirror, whole: bytes, place: Path) -> None:
    mirror.faults[:] = [cut(0.5)]
    fetch_warc(mirror.base, PATH, place, QUICK)
    assert [asked for _, asked in mirror.asked] == [None, f"bytes={len(whole) // 2}-"]


def test_another_run_continues_where_one_gave_up(mirror: Mirror, whole: bytes, place: Path) -> None:
    mirror.faults[:] = [cut(0.5), *[refuse(503)] * 4]
    with pytest.raises(TemporaryError, match=r"503.*SlowDown.*Given up after 4 fruitless attempts.*source\.base"):
        fetch_warc(mirror.base, PATH, place, QUICK)
    assert leftovers(place) == ["x.warc.gz.partial", "x.warc.gz.partial.json"]
    assert (place.parent / "x.warc.gz.partial").read_bytes() == whole[: len(whole) // 2]
    mirror.asked.clear()
    fetch_warc(mirror.base, PATH, place, QUICK)
    assert place.read_bytes() == whole
    assert mirror.asked[0][1] == f"bytes={len(whole) // 2}-"


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(mirror: Mirror, place: Path) -> None:
    mirror.faults[:] = [cut(0.5), *[refuse(503)] * 4]
    with pytest.raises(TemporaryError):
        fetch_warc(mirror.base, PATH, place, QUICK)
    new = gzip_members(warc_records(9, size=2000))
    (mirror.root / PATH).write_bytes(new)
    fetch_warc(mirror.base, PATH, place, QUICK)
    assert place.read_bytes() == new


def test_a_resumed_reply_of_another_file_is_not_appended(mirror: Mirror, place: Path) -> None:
    """A server that ignores If-Range gives itself away by the tag or the length."""
    new = gzip_members(warc_records(9, size=2000))

    def ignores_if_range(handler: Handler) -> None:
        del handler.headers["If-Range"]
        crawl_mirror.serve(handler)

    mirror.faults[:] = [cut(0.2), *[refuse(503)] * 4]
    with pytest.raises(TemporaryError):
        fetch_warc(mirror.base, PATH, place, QUICK)
    (mirror.root / PATH).write_bytes(new)
    mirror.asked.clear()
    mirror.faults[:] = [ignores_if_range]
    fetch_warc(mirror.base, PATH, place, QUICK)
    assert place.read_bytes() == new
    assert [asked is None for _, asked in mirror.asked] == [False, True]


def dated(date: str, heeds_if_range: bool = True, share: float = 1.0) -> crawl_mirror.Fault:
    """Answer as a server without tags, whose versions of a file differ in Last-Modified alone."""

    def answer(handler: Handler) -> None:
        data, asked = handler.file().read_bytes(), handler.headers.get("Range")
        status, first, extra = 200, 0, {"Last-Modified": date}
        if asked and (handler.headers.get("If-Range") == date or not heeds_if_range):
            status, first = 206, int(asked.removeprefix("bytes=").partition("-")[0])
            extra["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        body = data[first:]
        handler.answer(status, body[: int(len(body) * share)], **{"Content-Length": str(len(body)), **extra})
        handler.close_connection = share < 1

    return answer


@pytest.mark.parametrize("heeds_if_range", [True, False])
def test_a_file_without_a_tag_is_known_by_its_date(mirror: Mirror, place: Path, heeds_if_range: bool) -> None:
    old, new = (formatdate(at, usegmt=True) for at in (1_700_000_000, 1_700_000_500))
    packed = [gzip_members([one]) for one in warc_records(6, size=700)]
    versions = [b"".join(packed), b"".join(packed[::-1])]
    (mirror.root / PATH).write_bytes(versions[0])
    mirror.faults[:] = [dated(old, heeds_if_range, 0.6), *[refuse(503)] * 4]
    with pytest.raises(TemporaryError):
        fetch_warc(mirror.base, PATH, place, QUICK)
    (mirror.root / PATH).write_bytes(versions[1])
    mirror.asked.clear()
    mirror.faults[:] = [dated(new, heeds_if_range)] * 2
    fetch_warc(mirror.base, PATH, place, QUICK)
    assert place.read_bytes() == versions[1]
    assert mirror.asked[0][1] is not None
    assert len(mirror.asked) == (1 if heeds_if_range else 2)


def test_the_same_file_without_a_tag_is_continued(mirror: Mirror, whole: bytes, place: Path) -> None:
    date = formatdate(1_700_000_000, usegmt=True)
    mirror.faults[:] = [dated(date, share=0.5), dated(date)]
    fetch_warc(mirror.base, PATH, place, QUICK)
    assert place.read_bytes() == whole
    assert [asked is None for _, asked in mirror.asked] == [True, False]


@pytest.mark.parametrize("extent", ["bytes 0-10/5", "bytes 9-3/20", "bytes 7-9/*", "bytes */90", "items 0-9/90", ""])
def test_a_part_that_is_not_the_one_asked_for_is_not_taken(
    mirror: Mirror, whole: bytes, place: Path, extent: str
) -> None:
    def elsewhere(handler: Handler) -> None:
        handler.answer(206, b"another part", Content_Range=extent)

    mirror.faults[:] = [cut(0.5), elsewhere, elsewhere]
    fetch_warc(mirror.base, PATH, place, QUICK)
    assert place.read_bytes() == whole
    assert len(mirror.asked) == 4


def test_a_partial_file_of_unknown_origin_is_not_trusted(mirror: Mirror, whole: bytes, place: Path) -> None:
    place.parent.mkdir(parents=True)
    (place.parent / "x.warc.gz.partial").write_bytes(b"who knows")
    fetch_warc(mirror.base, PATH, place, QUICK)
    assert place.read_bytes() == whole


def test_a_server_without_ranges_is_read_from_the_beginning(mirror: Mirror, whole: bytes, place: Path) -> None:
    plain = partial(crawl_mirror.serve, ranges=False)
    mirror.faults[:] = [cut(0.5), plain, plain]
    fetch_warc(mirror.base, PATH, place, QUICK)
    assert place.read_bytes() == whole
    assert fetch_warc(mirror.base, PATH, place, QUICK, first_bytes=len(whole) - 1).bytes < len(whole)


def test_a_server_without_ranges_and_lengths_gives_the_same_first_bytes(
    mirror: Mirror, whole: bytes, place: Path
) -> None:
    def until_closed(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(whole)
        handler.close_connection = True

    first = fetch_warc(mirror.base, PATH, place, QUICK, first_bytes=len(whole) // 2)
    mirror.faults[:] = [until_closed]
    assert fetch_warc(mirror.base, PATH, place.with_name("y.warc.gz"), QUICK, len(whole) // 2).digest == first.digest
    assert place.with_name("y.warc.gz").read_bytes() == place.read_bytes()


def test_retry_after_is_honoured_up_to_a_limit(mirror: Mirror, place: Path) -> None:
    slow = QUICK.model_copy(update={"longest_retry_after_seconds": 0.3})
    for header in ("1", formatdate(time.time() + 30, usegmt=True)):
        mirror.faults[:] = [refuse(503, Retry_After=header)]
        began = time.monotonic()
        fetch_warc(mirror.base, PATH, place, slow)
        assert 0.3 <= time.monotonic() - began < 1.5


@pytest.mark.parametrize(
    ("headers", "tag"),
    [
        ({"ETag": '"a"', "Last-Modified": "Tue, 14 Nov 2023 22:13:20 GMT"}, '"a"'),
        ({"ETag": 'W/"a"', "Last-Modified": "Tue, 14 Nov 2023 22:13:20 GMT"}, "Tue, 14 Nov 2023 22:13:20 GMT"),
        ({"Last-Modified": "Tue, 14 Nov 2023 22:13:20 GMT", "Date": "Tue, 14 Nov 2023 22:13:50 GMT"}, None),
        ({"Last-Modified": "yesterday"}, None),
        ({}, None),
    ],
)
def test_a_file_is_known_by_what_promises_equal_bytes(headers: dict[str, str], tag: str | None) -> None:
    assert _tag(httpx.Response(200, headers=headers)) == tag


def test_a_date_to_wait_for_is_one_of_the_servers_clock() -> None:
    for wrong in (-3600, 3600):
        now = time.time() + wrong
        headers = httpx.Headers(
            {"Date": formatdate(now, usegmt=True), "Retry-After": formatdate(now + 30, usegmt=True)}
        )
        assert retry_after(headers) == 30
    for soon in ("soon", formatdate(time.time() - 30, usegmt=True), ""):
        assert retry_after(httpx.Headers({"Retry-After": soon})) == 0


def test_a_missing_file_is_permanent(mirror: Mirror, place: Path) -> None:
    with pytest.raises(NotFound, match=r"absent\.warc\.gz.*404"):
        fetch_warc(mirror.base, "absent.warc.gz", place, QUICK)
    assert len(mirror.asked) == 1


def test_a_redirect_is_not_followed(mirror: Mirror, place: Path) -> None:
    mirror.faults[:] = [refuse(302, Location="http://elsewhere.example/x")]
    with pytest.raises(PermanentError, match=r"elsewhere\.example/x.*source\.base"):
        fetch_warc(mirror.base, PATH, place, QUICK)


@pytest.mark.parametrize("endless", [False, True])
def test_a_file_too_large_is_refused(mirror: Mirror, place: Path, endless: bool) -> None:
    def unmeasured(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        handler.wfile.write(bytes(10_000))

    mirror.faults[:] = [unmeasured if endless else None]
    with pytest.raises(PermanentError, match="max_file_bytes"):
        fetch_warc(mirror.base, PATH, place, QUICK.model_copy(update={"max_file_bytes": 1000}))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_permanent_and_says_so(mirror: Mirror, whole: bytes, place: Path) -> None:
    place.parent.mkdir(parents=True)
    (place.parent / "x.warc.gz.partial").symlink_to("/dev/full")
    with pytest.raises(PermanentError, match=r"disk is full: could not write .*\.partial\..* is kept; make room"):
        fetch_warc(mirror.base, PATH, place, QUICK)
    assert len(mirror.asked) == 1
    (place.parent / "x.warc.gz.partial").unlink()
    fetch_warc(mirror.base, PATH, place, QUICK)
    assert place.read_bytes() == whole


def test_first_bytes_are_cut_to_whole_records(mirror: Mirror, whole: bytes, place: Path) -> None:
    ends = [len(gzip_members(warc_records(5)[:count])) for count in range(7)]
    fetched = fetch_warc(mirror.base, PATH, place, QUICK, first_bytes=ends[3] + 500)
    assert place.read_bytes() == whole[: ends[3]]
    assert fetched.bytes == ends[3]
    assert (fetched.check.records, fetched.check.cut_at) == (3, None)
    assert mirror.asked[0][1] == f"bytes=0-{ends[3] + 499}"
    assert fetch_warc(mirror.base, PATH, place, QUICK, first_bytes=len(whole) * 2).bytes == len(whole)
    folder = fetch_warc(str(mirror.root), PATH, place, QUICK, first_bytes=ends[3] + 500)
    assert (folder.path, folder.digest) == (str(place), fetched.digest)


def test_a_file_with_large_pages_is_fetched_once_and_cut_to_whole_records(mirror: Mirror, place: Path) -> None:
    large = [record(http_response(Random(size).randbytes(size))) for size in (1_200_000, 5_000_000)]
    packed = gzip_members([*warc_records(5), *large, *warc_records(5)])
    (mirror.root / PATH).write_bytes(packed)
    fetch_warc(mirror.base, PATH, place, QUICK)
    assert place.read_bytes() == packed
    assert len(mirror.asked) == 1
    end = len(packed) - len(gzip_members(warc_records(5)[3:]))
    fetch_warc(mirror.base, PATH, place, QUICK, first_bytes=end + 100)
    assert place.read_bytes() == packed[:end]
    assert len(mirror.asked) == 2


def test_too_few_first_bytes_for_a_record(mirror: Mirror, place: Path) -> None:
    with pytest.raises(PermanentError, match="bytes_per_warc"):
        fetch_warc(mirror.base, PATH, place, QUICK, first_bytes=40)


def test_a_flipped_byte_is_found_and_fetched_again_from_its_record(mirror: Mirror, whole: bytes, place: Path) -> None:
    third, fourth = (len(gzip_members(warc_records(5)[:count])) for count in (3, 4))
    mirror.faults[:] = [flip(fourth - 200), flip(50)]
    fetched = fetch_warc(mirror.base, PATH, place, QUICK)
    assert place.read_bytes() == whole
    assert fetched.check.verified == 5
    assert [asked for _, asked in mirror.asked] == [None, f"bytes={third}-", f"bytes={third}-"]


@pytest.mark.parametrize("at", [0, 1, 2, 700, -3, -1])
def test_a_flipped_byte_anywhere_is_mended(mirror: Mirror, whole: bytes, place: Path, at: int) -> None:
    mirror.faults[:] = [flip(at)]
    fetch_warc(mirror.base, PATH, place, QUICK)
    assert place.read_bytes() == whole


def test_a_flipped_byte_without_compression_is_mended(mirror: Mirror, place: Path) -> None:
    plain = b"".join(warc_records())
    (mirror.root / "plain.warc").write_bytes(plain)
    mirror.faults[:] = [flip(plain.index(b"</p>", len(plain) // 2))]
    fetch_warc(mirror.base, "plain.warc", place, QUICK)
    assert place.read_bytes() == plain
    assert len(mirror.asked) == 2


def test_damage_at_the_source_is_left_for_the_reader(mirror: Mirror, whole: bytes, place: Path) -> None:
    """What comes damaged twice in the same way is the file; a flip on the way, behind the damage, is not."""
    at = len(gzip_members(warc_records(5)[:3]))
    spoilt = whole[: at + 90] + b"????" + whole[at + 94 :]
    (mirror.root / PATH).write_bytes(spoilt)
    mirror.faults[:] = [None, flip(-5), None]
    fetched = fetch_warc(mirror.base, PATH, place, QUICK)
    assert place.read_bytes() == spoilt
    assert (fetched.check.broken_at, fetched.check.verified) == (at, 4)
    assert [asked for _, asked in mirror.asked] == [None, f"bytes={at}-", f"bytes={at}-"]
    assert fetch_warc(str(mirror.root), PATH, place, QUICK).digest == fetched.digest


def test_damage_at_the_beginning_is_left_for_the_reader_too(mirror: Mirror, whole: bytes, place: Path) -> None:
    (mirror.root / PATH).write_bytes(whole[:20] + b"????" + whole[24:])
    assert fetch_warc(mirror.base, PATH, place, QUICK).check.broken_at == 0


def test_a_file_of_which_nothing_can_be_read_is_permanent(mirror: Mirror, whole: bytes, place: Path) -> None:
    (mirror.root / PATH).write_bytes(whole[:20] + b"????" + bytes(range(256)))
    for base in (mirror.base, str(mirror.root)):
        with pytest.raises(DamagedWarc, match="no record in it can be read"):
            fetch_warc(base, PATH, place, QUICK)
    assert leftovers(place) == []


@pytest.mark.parametrize("at", [4, 7, 8, 9])
def test_a_flip_that_gzip_does_not_protect_changes_nothing(mirror: Mirror, place: Path, at: int) -> None:
    """The time of a member's header, the packer's pace and its system."""
    third = len(gzip_members(warc_records(5)[:3]))
    mirror.faults[:] = [flip(third + at)]
    fetched = fetch_warc(mirror.base, PATH, place, QUICK)
    assert len(mirror.asked) == 1
    assert fetched.digest == fetch_warc(str(mirror.root), PATH, place, QUICK).digest


def test_a_line_that_always_flips_is_given_up(mirror: Mirror, place: Path) -> None:
    mirror.faults[:] = [flip(at) for at in range(200, 250)]
    with pytest.raises(DamagedWarc, match="arrived damaged 5 times"):
        fetch_warc(mirror.base, PATH, place, QUICK)
    assert len(mirror.asked) == 5


def test_an_error_page_served_as_a_warc_is_quoted_and_not_kept(mirror: Mirror, whole: bytes, place: Path) -> None:
    mirror.faults[:] = [lambda h: h.answer(200, b"<html><title>Sorry</title><p>Scheduled maintenance</html>")]
    with pytest.raises(NotAWarc, match=rf"{mirror.base}/.*begins with: 'Sorry Scheduled maintenance'"):
        fetch_warc(mirror.base, PATH, place, QUICK)
    assert leftovers(place) == []
    fetch_warc(mirror.base, PATH, place, QUICK)
    assert place.read_bytes() == whole


def test_files_of_a_folder_are_read_in_place(mirror: Mirror, whole: bytes, place: Path) -> None:
    fetched = fetch_warc(str(mirror.root), PATH, place, QUICK)
    assert fetched.path == str(mirror.root / PATH)
    assert fetched.bytes == len(whole)
    assert not place.exists()
    with pytest.raises(NotFound, match="absent"):
        fetch_warc(str(mirror.root), "absent.warc.gz", place, QUICK)


def test_any_fsspec_url_is_a_source_and_a_destination(mirror: Mirror, whole: bytes, place: Path) -> None:
    memory = fsspec.filesystem("memory")
    fetched = fetch_warc(mirror.base, PATH, f"memory://downloads/{PATH}", QUICK)
    assert memory.cat_file(f"/downloads/{PATH}") == whole
    again = fetch_warc("memory://downloads", PATH, place, QUICK)
    assert place.read_bytes() == whole
    assert again.digest == fetched.digest
    memory.rm("/downloads", recursive=True)


def test_what_goes_to_a_url_lands_in_a_folder_that_no_other_user_can_prepare(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, elsewhere = tmp_path / "shared", tmp_path / "elsewhere"
    for folder in (shared, elsewhere):
        folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    fetch_warc(mirror.base, PATH, f"memory://downloads/{PATH}", QUICK)
    (own,) = [folder for folder in shared.iterdir() if "rate-limits" not in folder.name]
    assert own.stat().st_mode & 0o077 == 0
    own.rmdir()
    own.symlink_to(elsewhere)
    with pytest.raises(PermanentError, match="not this user's own folder"):
        fetch_warc(mirror.base, PATH, f"memory://downloads/{PATH}", QUICK)
    own.unlink()
    own.mkdir(mode=0o777)
    own.chmod(0o777)
    with pytest.raises(PermanentError, match="not this user's own folder"):
        fetch_warc(mirror.base, PATH, f"memory://downloads/{PATH}", QUICK)
    assert list(elsewhere.iterdir()) == list(own.iterdir()) == []
    fsspec.filesystem("memory").rm("/downloads", recursive=True)


@pytest.mark.skipif(not COMMON_CRAWL.exists(), reason="the shared crawl is not here")
def test_a_misbehaving_mirror_of_real_pages_delivers_all_the_same(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(COMMON_CRAWL / "serve.py"),
        "--port",
        "0",
        "--busy",
        "0.2",
        "--cut",
        "0.3",
        "--flip",
        "0.2",
    ]
    server = subprocess.Popen([*command, "--forbid", "0.1"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        base = server.stdout.readline().strip()
        config = SourceConfig(base=base, crawl="CC-MAIN-2026-46", warcs="all", transfer=QUICK.model_copy(
            update={"attempts": 12, "refetches": 12}
        ))  # fmt: skip
        warcs = list_warcs(config)
        with ThreadPoolExecutor(3) as pool:
            places = [tmp_path / PurePosixPath(warc).name for warc in warcs]
            came = list(pool.map(lambda warc, at: fetch_warc(base, warc, at, config.transfer), warcs, places))
        for warc, at, fetched in zip(warcs, places, came, strict=True):
            folder = fetch_warc(str(COMMON_CRAWL), warc, at, config.transfer)
            assert (fetched.bytes, fetched.digest) == (folder.bytes, folder.digest)
        assert len(places) == 7
    finally:
        server.kill()
        server.communicate()
