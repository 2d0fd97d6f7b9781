"""Damage is found wherever it is, and told from truncation and from faults of the source."""

import gzip
import io
from itertools import accumulate
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.warc.content import NotAWarc
from tasks.warc.reader import ReadLimits, Unreadable, read_pages
from tasks.warc.verification import verify_warc
from tests.conftest import COMMON_CRAWL
from tests.tasks.crawl_mirror import gzip_members, warc_records
from tests.tasks.warc_builder import HTML, crawl, http_response, members, record, sha1

RECORDS = warc_records(5, size=700)
MEMBERS = [gzip_members([record]) for record in RECORDS]
WHOLE = b"".join(MEMBERS)
BEGINNINGS = list(accumulate(map(len, MEMBERS), initial=0))
ODD = COMMON_CRAWL / "odd-warcs"
on_tmp_path = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def write(folder: Path, data: bytes) -> Path:
    file = folder / "x.warc.gz"
    file.write_bytes(data)
    return file


def test_a_whole_file(tmp_path: Path) -> None:
    check = verify_warc(write(tmp_path, WHOLE))
    assert (check.records, check.verified, check.wrong_digests) == (6, 5, ())
    assert (check.broken_at, check.cut_at, check.compressed) == (None, None, True)


@on_tmp_path
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_no_change_of_content_goes_unseen(tmp_path: Path, at: int, change: int) -> None:
    data = WHOLE[:at] + bytes([WHOLE[at] ^ change]) + WHOLE[at + 1 :]
    check = verify_warc(write(tmp_path, data))
    found = [fault for fault in (check.broken_at, check.cut_at) if fault is not None]
    assert (check.digest != verify_warc(write(tmp_path, WHOLE)).digest) == bool(found)
    if found:
        assert min(found) <= max(begin for begin in BEGINNINGS if begin <= at)
    else:  # gzip has a few bits, such as the time and the filling of its last byte, that change no content
        assert gzip.decompress(data) == gzip.decompress(WHOLE)


@on_tmp_path
@given(st.integers(1, len(WHOLE) - 1))
def test_a_cut_is_found_at_the_record_it_is_in(tmp_path: Path, length: int) -> None:
    check = verify_warc(write(tmp_path, WHOLE[:length]))
    assert check.broken_at is None
    assert check.cut_at == (None if length in BEGINNINGS else max(begin for begin in BEGINNINGS if begin <= length))


def test_a_digest_that_is_wrong_at_the_source_is_the_records_fault(tmp_path: Path) -> None:
    wrong = [*RECORDS[:3], RECORDS[3].replace(b"sha1:", b"sha1:AAAA")[:-4] + b"\r\n\r\n", *RECORDS[4:]]
    check = verify_warc(write(tmp_path, gzip_members(wrong)))
    assert check.wrong_digests == (BEGINNINGS[3],)
    assert (check.broken_at, check.cut_at, check.records) == (None, None, 6)


def test_without_compression_the_digest_finds_the_change(tmp_path: Path) -> None:
    plain = b"".join(RECORDS)
    at = plain.index(b"</p>", len(plain) // 2)
    check = verify_warc(write(tmp_path, plain[:at] + b"X" + plain[at + 1 :]))
    assert len(check.wrong_digests) == 1
    assert (check.compressed, check.broken_at) == (False, None)
    cut = verify_warc(write(tmp_path, plain[:-100]))
    assert cut.cut_at == sum(map(len, RECORDS[:-1]))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<html><head><title>503 Service\n Unavailable</title></head>", "503 Service Unavailable"),
        ("<p>Zugriff verweigert: Müller".encode(), "Zugriff verweigert: Müller"),
        (gzip_members([b"<html>a page, compressed</html>"]), "a page, compressed"),
        (b"", "empty"),
    ],
)
def test_other_files_are_quoted(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(NotAWarc, match=words):
        verify_warc(write(tmp_path, data))


@pytest.mark.parametrize("data", [bytes(range(256)), b"\x1f\x8bgarbage", b"WARC/1.0\x00"])
def test_bytes_without_sense_are_broken(tmp_path: Path, data: bytes) -> None:
    check = verify_warc(write(tmp_path, data))
    assert check.records == 0
    assert 0 in (check.broken_at, check.cut_at)


def test_a_large_page_is_sound_and_so_is_the_file(tmp_path: Path) -> None:
    """Whatever compresses little or well, and wherever in the file it lies."""
    for size in (1_100_000, 3_000_000, 9_000_000):
        pages = [http_response(Random(size).randbytes(size)), http_response(b"<p>harbour" * (size // 10))]
        data = WHOLE + b"".join(gzip.compress(record(page), mtime=0) + WHOLE for page in pages)
        check = verify_warc(write(tmp_path, data))
        assert (check.broken_at, check.cut_at, check.wrong_digests) == (None, None, ())
        assert check.records == 3 * len(RECORDS) + 2


@pytest.mark.parametrize("kind", ["response", "resource"])
def test_the_digest_of_a_record_too_long_to_be_held_is_verified(tmp_path: Path, kind: str) -> None:
    page = Random(0).randbytes(ReadLimits().max_record_bytes)
    block, part = (http_response(page), "Payload") if kind == "response" else (page, "Block")
    content_type = {} if kind == "response" else {"Content_Type": "application/octet-stream"}
    digest = {f"WARC_{part}_Digest": sha1(page)}
    data = RECORDS[0] + record(block, kind, **content_type, **digest)
    check = verify_warc(write(tmp_path, data + RECORDS[1]))
    assert (check.records, check.verified, check.wrong_digests, check.broken_at) == (3, 2, (), None)
    at = len(data) - 1000
    check = verify_warc(write(tmp_path, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] + RECORDS[1]))
    assert (check.records, check.verified, check.wrong_digests) == (3, 1, (len(RECORDS[0]),))


def test_records_after_damage_are_verified_too(tmp_path: Path) -> None:
    spoilt = MEMBERS[2][:60] + b"????" + MEMBERS[2][64:]
    check = verify_warc(write(tmp_path, b"".join([*MEMBERS[:2], spoilt, *MEMBERS[3:]])))
    assert (check.broken_at, check.verified) == (BEGINNINGS[2], 4)


def test_a_digest_of_the_decoded_body_is_right(tmp_path: Path) -> None:
    """As the reader finds, and so an uncompressed file is not fetched again for it."""
    response = http_response(gzip.compress(HTML), Content_Encoding="gzip")
    wrong = http_response(gzip.compress(HTML + b"!"), Content_Encoding="gzip")
    first = record(response, WARC_Payload_Digest=sha1(HTML))
    check = verify_warc(write(tmp_path, first + record(wrong, WARC_Payload_Digest=sha1(HTML))))
    assert (check.verified, check.wrong_digests) == (1, (len(first),))


MIXED = members(crawl(3))


@on_tmp_path
@given(st.lists(st.tuples(st.integers(0, len(MIXED) - 1), st.integers(0, 255)), max_size=3), st.integers(0, len(MIXED)))
def test_verification_and_reading_see_the_same_damage(tmp_path: Path, changes: list[tuple[int, int]], end: int) -> None:
    data = bytearray(MIXED)
    for at, value in changes:
        data[at] = value
    file = write(tmp_path, bytes(data[:end]))
    try:
        check = verify_warc(file)
        items = list(read_pages(io.BytesIO(file.read_bytes()), ReadLimits()))
    except NotAWarc:
        return
    reasons = {item.reason for item in items if isinstance(item, Unreadable)}
    if check.broken_at is None and check.cut_at is None:
        assert not reasons & {"damaged_gzip", "junk", "clipped"}
    if reasons & {"damaged_gzip", "junk"}:
        assert check.broken_at is not None or check.cut_at is not None


@pytest.mark.skipif(not COMMON_CRAWL.exists(), reason="the shared archives are not here")
def test_healthy_archives_are_healthy() -> None:
    for file in sorted(COMMON_CRAWL.glob("crawl-data/**/*.warc.gz")):
        check = verify_warc(file)
        assert (check.broken_at, check.cut_at, check.wrong_digests) == (None, None, ()), file
        assert check.records >= 700


@pytest.mark.skipif(not ODD.exists(), reason="the shared archives are not here")
def test_odd_archives_of_the_wild() -> None:
    checks = {file.name: verify_warc(file) for file in sorted(ODD.glob("*.warc*"))}
    assert checks["chatnoir-resiliparse__clipped.warc.gz"].cut_at == 0
    assert all(check.wrong_digests == () for check in checks.values())
    assert checks["solrwayback__transfer_compression_gzip_chunked.warc.gz"].verified == 1
    assert checks["pywb__iana.warc.gz"].verified == 48
    assert all(check.broken_at is None for check in checks.values())
