"""A crawl in an object store: signed or not, in large requests that keep to the shared limits."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tasks.base.errors import PermanentError
from tasks.fetch.crawl_listing import SourceConfig, list_warcs, resolve_crawl
from tasks.sources import file_source
from tasks.sources.byte_source import byte_source
from tasks.sources.downloading import fetch_warc
from tasks.sources.rate_limits import RateLimiter
from tasks.sources.transfer import NotFound, Refused, TransferConfig
from tests.tasks.crawl_mirror import CRAWL, refuse, running_mirror, warc_path, write_crawl

QUICK = TransferConfig(requests_per_second=10_000, first_pause_seconds=0.001, longest_pause_seconds=0.01, attempts=3)
PATH = warc_path(2)


@pytest.fixture(autouse=True)
def forgotten_credentials() -> Iterator[None]:
    file_source._has_credentials.cache_clear()
    yield
    file_source._has_credentials.cache_clear()


@pytest.fixture
def bucket(s3_bucket: str, tmp_path: Path) -> str:
    """The URL of a small crawl in a bucket that answers signed requests only."""
    return filled(s3_bucket, tmp_path)


def filled(bucket: str, folder: Path, **access: str) -> str:
    write_crawl(folder / "web")
    fsspec.filesystem("s3", skip_instance_cache=True).put(f"{folder / 'web'}/", bucket, recursive=True, **access)
    return bucket


def check_is_a_crawl(bucket: str, folder: Path, transfer: TransferConfig) -> None:
    source = SourceConfig(base=bucket, warcs="all", transfer=transfer)
    assert resolve_crawl(source) == CRAWL
    assert list_warcs(source) == [warc_path(number) for number in range(3)]
    place = folder / "x.warc.gz"
    fetched = fetch_warc(bucket, PATH, place, transfer)
    assert place.read_bytes() == (folder / "web" / PATH).read_bytes()
    assert fetched.digest == fetch_warc(str(folder / "web"), PATH, place, transfer).digest


def test_a_bucket_is_a_crawl(bucket: str, tmp_path: Path) -> None:
    check_is_a_crawl(bucket, tmp_path, QUICK)
    with pytest.raises(NotFound, match="absent"):
        fetch_warc(bucket, "absent.warc.gz", tmp_path / "x.warc.gz", QUICK)


def test_a_bucket_that_is_not_open_says_what_to_do(bucket: str, tmp_path: Path) -> None:
    unsigned = QUICK.model_copy(update={"anonymous": True})
    with pytest.raises(PermanentError, match=r"not allowed.*credentials and source\.transfer\.anonymous"):
        fetch_warc(bucket, PATH, tmp_path / "x.warc.gz", unsigned)


@pytest.mark.parametrize("credentials", [True, False])
def test_a_public_bucket_needs_no_account(
    s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, credentials: bool
) -> None:
    """Where there are no credentials nobody need say so."""
    filled(s3_bucket, tmp_path, ACL="public-read")
    if not credentials:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            monkeypatch.setenv(name, str(tmp_path / "none"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    check_is_a_crawl(s3_bucket, tmp_path, QUICK.model_copy(update={"anonymous": True if credentials else None}))


def test_ranges_are_read_on_one_open_file(bucket: str, tmp_path: Path) -> None:
    whole = (tmp_path / "web" / PATH).read_bytes()
    with byte_source(bucket, QUICK.model_copy(update={"connections": 1})).kept_open() as kept:
        for first, stop in ((5, 50), (0, 1), (700, None)):
            with kept.read(PATH, first, stop, None) as reply:
                assert b"".join(reply.chunks) == whole[first:stop]
                assert (reply.first, reply.total) == (first, len(whole))


def test_a_large_object_comes_in_pieces_that_wait_for_their_turn(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[float] = []

    def await_turn(polite: RateLimiter) -> float:
        turns.append(time.time())
        return turns[-1]

    monkeypatch.setattr(file_source, "_REMOTE_PIECE_BYTES", 5000)
    monkeypatch.setattr(RateLimiter, "await_turn", await_turn)
    with byte_source(bucket, QUICK).read(PATH, 0, None, None) as reply:
        assert [len(piece) for piece in reply.chunks] == [5000, 5000, 182]
    assert len(turns) == 4


def test_a_busy_store_is_asked_once_and_makes_everybody_pause(
    s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    refusals: list[Any] = []
    monkeypatch.setattr(RateLimiter, "refused", lambda self, asked_at: refusals.append(asked_at))
    with running_mirror(tmp_path) as mirror:
        mirror.faults[:] = [refuse(503)] * 9
        monkeypatch.setenv("AWS_ENDPOINT_URL", mirror.base)
        source = byte_source("s3://busy", QUICK)
        with pytest.raises(Refused), source.read("collinfo.json", 0, None, None):
            pass
        assert (len(refusals), len(mirror.faults)) == (1, 8)
        with pytest.raises(Refused):
            source.folders("crawl-data")
        assert (len(refusals), len(mirror.faults)) == (2, 7)
