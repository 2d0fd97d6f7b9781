"""Workers that know nothing of each other keep few connections, a steady pace, and pause together."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tasks.base.errors import PermanentError
from tasks.sources.byte_source import byte_source
from tasks.sources.rate_limits import RateLimiter
from tasks.sources.transfer import TransferConfig
from tests.conftest import ROOT
from tests.tasks.crawl_mirror import late, refuse, running_mirror, warc_path, write_crawl

PLACE = "http://mirror.example"
LIMITS = TransferConfig(
    connections=2,
    requests_per_second=1000,
    first_pause_seconds=0.2,
    longest_pause_seconds=1.0,
    longest_retry_after_seconds=2.0,
)


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime folder of the test's own, for its child processes too."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def process(code: str) -> subprocess.Popen[str]:
    """A process of its own that runs `code`."""
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def waited(limiter: RateLimiter) -> float:
    """How long a turn was waited for, in seconds."""
    began = time.monotonic()
    limiter.await_turn()
    return time.monotonic() - began


def test_processes_share_the_connections(tmp_path: Path) -> None:
    write_crawl(tmp_path / "web", warcs=3)
    with running_mirror(tmp_path / "web") as mirror:
        mirror.faults[:] = [late(0.05)] * 18
        code = (
            "import tempfile; from tasks.sources.transfer import TransferConfig\n"
            "from tasks.sources.downloading import fetch_warc\n"
            "transfer = TransferConfig(connections=2, requests_per_second=1000)\n"
            "for number in range(6):\n"
            f"    fetch_warc({mirror.base!r}, {warc_path(1)!r}, tempfile.mkdtemp() + '/x.warc.gz', transfer)\n"
        )
        workers = [process(code) for _ in range(3)]
        assert [worker.wait() for worker in workers] == [0, 0, 0]
        for worker in workers:
            worker.communicate()
        assert len(mirror.asked) == 18
        assert max(mirror.counts_open) == 2


def test_a_refusal_of_one_process_makes_the_others_pause(tmp_path: Path) -> None:
    write_crawl(tmp_path / "web", warcs=1)
    ours = TransferConfig(requests_per_second=1000, first_pause_seconds=0.01, attempts=9)
    with running_mirror(tmp_path / "web") as mirror:
        mirror.faults[:] = [refuse(429, Retry_After="1")]
        source = byte_source(mirror.base, ours)
        theirs = process(
            "from tasks.sources.byte_source import byte_source\n"
            "from tasks.sources.transfer import Refused, TransferConfig\n"
            f"source = byte_source({mirror.base!r}, TransferConfig(requests_per_second=1000))\n"
            "try:\n"
            "    source.read('collinfo.json', 0, None, None).__enter__()\n"
            "except Refused:\n"
            "    print('refused', flush=True)\n"
        )
        assert theirs.stdout is not None
        assert theirs.stdout.readline() == "refused\n"
        began = time.monotonic()
        with source.read("collinfo.json", 0, None, None) as reply:
            assert b"".join(reply.chunks)
        assert 0.5 < time.monotonic() - began < 3
        theirs.communicate()


def test_a_killed_process_frees_its_connections() -> None:
    holder = process(
        "import time; from tasks.sources.rate_limits import RateLimiter, TransferConfig\n"
        f"limiter = RateLimiter({PLACE!r}, TransferConfig(connections=1, requests_per_second=1000))\n"
        "with limiter.connection():\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    waiting = process(
        "from tasks.sources.rate_limits import RateLimiter, TransferConfig\n"
        "print('asking', flush=True)\n"
        f"limiter = RateLimiter({PLACE!r}, TransferConfig(connections=1, requests_per_second=1000))\n"
        "with limiter.connection(): print('got it', flush=True)\n"
    )
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == "asking\n"
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.5)
    holder.kill()
    assert waiting.stdout.readline() == "got it\n"
    for child in (holder, waiting):
        child.communicate()


def test_requests_keep_their_pace() -> None:
    slow = LIMITS.model_copy(update={"requests_per_second": 20})
    two = [RateLimiter(PLACE, slow), RateLimiter(PLACE, slow)]
    began = time.monotonic()
    for number in range(5):
        two[number % 2].await_turn()
    assert time.monotonic() - began >= 4 / 20


def test_pauses_double_and_shrink_again() -> None:
    """Had the answers not been counted, the third pause would be 0.8 s or more."""
    limiter, other = RateLimiter(PLACE, LIMITS), RateLimiter(PLACE, LIMITS)
    limiter.refused(time.time())
    assert waited(other) > 0.15
    limiter.refused(time.time())
    assert waited(other) > 0.35
    for _ in range(2):
        other.answered()
    limiter.refused(time.time())
    assert 0.15 < waited(other) < 0.75


def test_requests_refused_together_count_once() -> None:
    limiter = RateLimiter(PLACE, LIMITS)
    asked_at = time.time()
    for _ in range(10):
        limiter.refused(asked_at)
    assert 0.15 < waited(limiter) < 0.9


@pytest.mark.parametrize(("asked_for", "shortest", "longest"), [(0.6, 0.55, 1.5), (3600.0, 1.9, 3.0)])
def test_retry_after_holds_for_all_workers_up_to_a_limit(asked_for: float, shortest: float, longest: float) -> None:
    RateLimiter(PLACE, LIMITS).refused(time.time(), asked_for)
    assert shortest < waited(RateLimiter(PLACE, LIMITS)) < longest


def test_a_clock_set_back_makes_nobody_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = RateLimiter(PLACE, LIMITS)
    limiter.await_turn()
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() - 3600)
    assert waited(limiter) < 0.1
    monkeypatch.setattr(time, "time", lambda: clock() - 7200)
    assert waited(RateLimiter(PLACE, LIMITS)) < 0.1


def test_a_pause_lasts_as_long_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = RateLimiter(PLACE, LIMITS)
    limiter.refused(time.time(), 1.0)
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() - 3600)
    assert 0.5 < waited(limiter) < 1.7


def test_a_long_pause_is_reported(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.sources.rate_limits._REPORTED_SECONDS", 0.5)
    RateLimiter(PLACE, LIMITS).refused(time.time(), 1.0)
    with caplog.at_level("INFO"):
        RateLimiter(PLACE, LIMITS).await_turn()
    assert [record.message for record in caplog.records] == [f"{PLACE} asked for a pause: going on in 1 s"]


def test_another_source_has_limits_of_its_own() -> None:
    RateLimiter(PLACE, LIMITS).refused(time.time(), 2.0)
    assert waited(RateLimiter("http://other.example", LIMITS)) < 0.1


@pytest.mark.parametrize("text", [b"", b"{", b'{"unknown": 1}'])
def test_a_damaged_state_is_replaced(runtime: Path, text: bytes) -> None:
    limiter = RateLimiter(PLACE, LIMITS)
    limiter.answered()
    (state,) = runtime.rglob("state.json")
    state.write_bytes(text)
    assert waited(limiter) < 0.1
    limiter.refused(time.time())
    assert waited(limiter) > 0.15


def test_a_folder_that_others_can_write_to_is_not_used(runtime: Path) -> None:
    RateLimiter(PLACE, LIMITS)
    (folder,) = runtime.iterdir()
    folder.chmod(0o777)
    with pytest.raises(PermanentError, match="TMPDIR"):
        RateLimiter(PLACE, LIMITS)


def test_a_kept_connection_serves_many_reads(tmp_path: Path) -> None:
    write_crawl(tmp_path / "web", warcs=1)
    with running_mirror(tmp_path / "web") as mirror:
        source = byte_source(mirror.base, TransferConfig(connections=1, requests_per_second=1000))
        with source.kept_open() as kept:
            for first in range(5):
                with kept.read(warc_path(0), first, first + 9, None) as reply:
                    assert len(b"".join(reply.chunks)) == 9
        assert len(mirror.asked) == 5
        assert mirror.counts_open == [1]


def test_a_folder_needs_no_limits(tmp_path: Path, runtime: Path) -> None:
    write_crawl(tmp_path / "web", warcs=1)
    with (
        byte_source(str(tmp_path / "web"), TransferConfig()).kept_open() as kept,
        kept.read("collinfo.json", 0, None, None) as reply,
    ):
        assert b"".join(reply.chunks)
    assert list(runtime.iterdir()) == []


@pytest.fixture
def misbehaving(common_crawl: Path) -> Iterator[str]:
    """The address of the shared server, busy and slow."""
    command = [sys.executable, str(common_crawl / "serve.py"), "--port", "0", "--busy", "0.3", "--delay", "0.02"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    yield server.stdout.readline().strip()
    server.terminate()
    server.communicate()


def test_the_server_itself_sees_no_more_connections_than_configured(misbehaving: str) -> None:
    code = (
        "from tasks.sources.transfer import TransferConfig; from tasks.sources.downloading import read_small\n"
        "transfer = TransferConfig(connections=2, requests_per_second=1000, first_pause_seconds=0.01)\n"
        "for number in range(12):\n"
        f"    read_small({misbehaving!r}, 'collinfo.json', transfer, len, 1 << 20)\n"
    )
    workers = [process(code) for _ in range(3)]
    for worker in workers:
        worker.communicate()
        assert worker.returncode == 0
    stats = httpx.get(f"{misbehaving}/_stats").json()
    assert stats["answers"]["200"] == 36
    assert stats["most_open"] <= 2
