"""Damage is found wherever it is, and told from truncation and from faults of the source."""

from __future__ import annotations

import gzip
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.warc.verification import NotAWarc, verify_warc_payload_digests
from tests.conftest import COMMON_CRAWL
from tests.tasks.crawl_mirror import gzip_members, warc_records

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
    check = verify_warc_payload_digests(write(tmp_path, WHOLE))
    assert (check.records, check.verified, check.wrong_digests) == (6, 5, ())
    assert (check.broken_at, check.cut_at, check.compressed) == (None, None, True)


@on_tmp_path
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_no_change_of_content_goes_unseen(tmp_path: Path, at: int, change: int) -> None:
    data = WHOLE[:at] + bytes([WHOLE[at] ^ change]) + WHOLE[at + 1 :]
    check = verify_warc_payload_digests(write(tmp_path, data))
    found = [fault for fault in (check.broken_at, check.cut_at) if fault is not None]
    assert (check.digest != verify_warc_payload_digests(write(tmp_path, WHOLE)).digest) == bool(found)
    if found:
        assert min(found) <= max(begin for begin in BEGINNINGS if begin <= at)
    else:  # gzip has a few bits, such as the time and the filling of its last byte, that change no content
        assert gzip.decompress(data) == gzip.decompress(WHOLE)


@on_tmp_path
@given(st.integers(1, len(WHOLE) - 1))
def test_a_cut_is_found_at_the_record_it_is_in(tmp_path: Path, length: int) -> None:
    check = verify_warc_payload_digests(write(tmp_path, WHOLE[:length]))
    assert check.broken_at is None
    assert check.cut_at == (None if length in BEGINNINGS else max(begin for begin in BEGINNINGS if begin <= length))


def test_a_digest_that_is_wrong_at_the_source_is_the_records_fault(tmp_path: Path) -> None:
    wrong = [*RECORDS[:3], RECORDS[3].replace(b"sha1:", b"sha1:AAAA")[:-4] + b"\r\n\r\n", *RECORDS[4:]]
    check = verify_warc_payload_digests(write(tmp_path, gzip_members(wrong)))
    assert check.wrong_digests == (BEGINNINGS[3],)
    assert (check.broken_at, check.cut_at, check.records) == (None, None, 6)


def test_without_compression_the_digest_finds_the_change(tmp_path: Path) -> None:
    plain = b"".join(RECORDS)
    at = plain.index(b"</p>", len(plain) // 2)
    check = verify_warc_payload_digests(write(tmp_path, plain[:at] + b"X" + plain[at + 1 :]))
    assert len(check.wrong_digests) == 1
    assert (check.compressed, check.broken_at) == (False, None)
    cut = verify_warc_payload_digests(write(tmp_path, plain[:-100]))
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
        verify_warc_payload_digests(write(tmp_path, data))


@pytest.mark.parametrize("data", [bytes(range(256)), b"\x1f\x8bgarbage", b"WARC/1.0\x00"])
def test_bytes_without_sense_are_broken(tmp_path: Path, data: bytes) -> None:
    check = verify_warc_payload_digests(write(tmp_path, data))
    assert check.records == 0
    assert 0 in (check.broken_at, check.cut_at)


@pytest.mark.skipif(not ODD.exists(), reason="the shared archives are not here")
def test_odd_archives_of_the_wild() -> None:
    checks = {file.name: verify_warc_payload_digests(file) for file in sorted(ODD.glob("*.warc*"))}
    assert checks["chatnoir-resiliparse__clipped.warc.gz"].cut_at == 0
    assert checks["solrwayback__transfer_compression_gzip_chunked.warc.gz"].wrong_digests == (275,)
    assert checks["pywb__iana.warc.gz"].verified == 48
    assert all(check.broken_at is None for check in checks.values())
