"""Workers: results and errors come back, every kind of death is named, nothing is left behind."""

import errno
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tasks.base.errors import PermanentError, TemporaryError
from tasks.workers.worker_process import WorkerDied, WorkerLimits, run_isolated
from tests.conftest import ROOT
from tests.tasks.workers import worker_jobs as jobs

PRELOAD = ("tests.tasks.workers.worker_jobs",)
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def run(
    function: Callable[..., Any],
    argument: object,
    limits: WorkerLimits | None = None,
    on_log: Callable[[str], None] = lambda line: None,
) -> Any:
    return run_isolated(function, argument, limits or WorkerLimits(seconds=60), on_log, PRELOAD)


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_result_comes_back() -> None:
    assert run(jobs.add, jobs.Sum((1, 2, 3))) == 6


def test_large_arguments_and_results_cross() -> None:
    blob = os.urandom(5_000_000)
    assert run(jobs.echo, blob) == blob


def test_each_call_is_another_process() -> None:
    (first, fork_server), (second, same_fork_server) = (run(jobs.process_id, None) for _ in range(2))
    assert len({first, second, fork_server, os.getpid()}) == 4
    assert fork_server == same_fork_server


def test_threads_share_the_fork_server() -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: run(jobs.add, jobs.Sum((n, n))), range(40)))
    assert results == [2 * n for n in range(40)]


def test_a_death_in_one_thread_does_not_touch_the_others() -> None:
    def one(n: int) -> int | str:
        try:
            return int(run(jobs.add, jobs.Sum((n,)))) if n % 2 else str(run(jobs.die, "segfault"))
        except WorkerDied as died:
            return died.reason

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(one, range(18))) == [n if n % 2 else "signal" for n in range(18)]


def test_what_the_worker_prints_is_streamed() -> None:
    lines: list[str] = []
    run(jobs.talk, 300, on_log=lines.append)
    assert lines[0] == "INFO tasks.talker: logged"
    assert lines[1:301] == [f"printed {n}" for n in range(300)]
    assert lines[301:] == ["written by C code, no newline"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("permanent", PermanentError), ("disk", OSError), ("memory", MemoryError), ("value", ValueError)],
)
def test_exceptions_keep_their_type_and_carry_the_traceback(kind: str, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught:
        run(jobs.fail, kind)
    assert type(caught.value) is expected
    assert "worker_jobs.py" in "".join(caught.value.__notes__)
    if isinstance(caught.value, OSError):
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/store/part")


def test_an_exception_that_cannot_be_pickled_is_told_all_the_same() -> None:
    with pytest.raises(RuntimeError, match="ValueError: holds a lock"):
        run(jobs.fail, "unpicklable")


@pytest.mark.parametrize(
    ("kind", "limits", "reason", "detail"),
    [
        ("segfault", WorkerLimits(), "signal", "SIGSEGV"),
        ("sigkill", WorkerLimits(), "signal", "SIGKILL"),
        ("exit", WorkerLimits(), "exit", "code 0"),
        ("hard exit", WorkerLimits(), "exit", "code 9"),
        ("memory", WorkerLimits(memory_bytes=250 * 2**20, seconds=60), "memory", "250 MiB"),
        ("stall", WorkerLimits(stall_seconds=0.3, seconds=60), "stall", "0.3 s"),
    ],
)
@linux_only
def test_deaths_are_named_with_their_place(kind: str, limits: WorkerLimits, reason: str, detail: str) -> None:
    with pytest.raises(WorkerDied, match=detail) as caught:
        run(jobs.die, kind, limits)
    assert (caught.value.reason, caught.value.position) == (reason, 4096)
    assert isinstance(caught.value, TemporaryError)


def test_a_worker_that_makes_progress_still_ends_in_time() -> None:
    with pytest.raises(WorkerDied) as caught:
        run(jobs.die, "time", WorkerLimits(seconds=0.4, stall_seconds=0.2))
    assert caught.value.reason == "time"


def test_a_sleeping_worker_stalls_by_the_clock(tmp_path: Path) -> None:
    with pytest.raises(WorkerDied) as caught:
        run(jobs.sleep, str(tmp_path), WorkerLimits(stall_seconds=0.05))
    assert (caught.value.reason, caught.value.position) == ("stall", 1)


@linux_only
def test_work_that_tells_no_position_cannot_stall() -> None:
    limits = WorkerLimits(stall_seconds=0.2, seconds=60)
    run(jobs.work_untold, 1.0, limits)
    with pytest.raises(WorkerDied) as caught:
        run(jobs.die, "stall", limits)
    assert (caught.value.reason, caught.value.position) == ("stall", 4096)


def test_worker_died_can_be_pickled() -> None:
    died = WorkerDied("stall", 12, "no progress")
    again = pickle.loads(pickle.dumps(died))  # noqa: S301 - our own bytes
    assert (str(again), again.reason, again.position) == (str(died), "stall", 12)


def test_workers_see_the_folder_and_environment_of_the_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = run(jobs.surroundings, "SLUICE_TEST")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLUICE_TEST", "set later")
    after = run(jobs.surroundings, "SLUICE_TEST")
    assert before[1] is None
    assert after == (str(tmp_path), "set later", before[2])


def test_a_preload_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(PermanentError, match=r"tests\.no_such_module"):
        run_isolated(jobs.echo, b"", WorkerLimits(), print, ("tests.no_such_module",))


def test_a_killed_fork_server_is_replaced() -> None:
    _, fork_server = run(jobs.process_id, None)
    os.kill(fork_server, signal.SIGKILL)
    assert run(jobs.add, jobs.Sum((4, 5))) == 9


def test_a_killed_fork_server_takes_its_workers_along(tmp_path: Path) -> None:
    raised: list[BaseException] = []

    def sleep() -> None:
        try:
            run(jobs.sleep, str(tmp_path))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=sleep)
    thread.start()
    assert wait_until(lambda: any(tmp_path.iterdir()))
    os.kill(run(jobs.process_id, None)[1], signal.SIGKILL)
    thread.join(20)
    assert isinstance(raised[0], WorkerDied)
    assert wait_until(lambda: not is_alive(int(next(tmp_path.iterdir()).name)))


def test_the_worker_ends_when_its_caller_gives_up(tmp_path: Path) -> None:
    def give_up(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_isolated(_say_and_sleep, str(tmp_path), WorkerLimits(), give_up, PRELOAD)
    assert wait_until(lambda: not is_alive(int(next(tmp_path.iterdir()).name)))


def _say_and_sleep(folder: str, progress: Any) -> None:
    (Path(folder) / str(os.getpid())).touch()
    print("here")
    time.sleep(600)


@linux_only
def test_no_orphan_when_the_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, threading; from tasks.workers.worker_process import *\n"
        "from tests.tasks.workers.worker_jobs import sleep\n"
        "for _ in range(3):\n"
        "    threading.Thread(target=run_isolated, args=(sleep, sys.argv[1], WorkerLimits(), print)).start()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT)
    try:
        assert wait_until(lambda: len(list(tmp_path.iterdir())) == 3)
        workers = [int(file.name) for file in tmp_path.iterdir()]
        fork_server = int(Path(f"/proc/{workers[0]}/stat").read_text().rpartition(")")[2].split()[1])
        assert all(map(is_alive, [*workers, fork_server]))
    finally:
        parent.kill()
        parent.wait()
    assert wait_until(lambda: not any(map(is_alive, [*workers, fork_server])), 5)


@linux_only
def test_no_descriptor_is_leaked() -> None:
    run(jobs.add, jobs.Sum((1,)))

    def many() -> None:
        for _ in range(20):
            run(jobs.add, jobs.Sum((1,)))
            with pytest.raises(WorkerDied):
                run(jobs.die, "hard exit")

    before = len(list(Path("/proc/self/fd").iterdir()))
    first = run(jobs.open_files, None)
    many()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert len(run(jobs.open_files, None)) == len(first)
    assert not [target for target in first if target.startswith("socket:")]
