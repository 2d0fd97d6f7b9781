"""Run a part's work in a worker process with limits of its own: a crash is then one error, not the end of the flow.

Notable:
- One fork server (`tasks.workers.fork_server`) serves all threads of this process that ask for the same preload.
- A stall is measured in the worker's processor time: on a busy machine a slow page is not mistaken for a hanging one,
  and the same page is treated the same whatever else runs. Clock time is only the safety net for a worker that sleeps.
- Where the system has no /proc, only the limits by the clock hold.
- All workers hash strings alike (PYTHONHASHSEED=0), so the order of a set can make no two runs differ.
- What passes between this process and its worker is pickled both ways; nothing else is ever unpickled.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pickle
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

from tasks.base.errors import PermanentError, TemporaryError
from tasks.base.safe_path import safe_path
from tasks.workers.fork_server import POSITION, READY, Progress

__all__ = ["Progress", "WorkerDied", "WorkerLimits", "run_isolated"]

Argument = TypeVar("Argument")
Result = TypeVar("Result")
Reason = Literal["memory", "time", "stall", "signal", "exit", "stopped"]

_POLL_SECONDS = 0.05
_SERVER_START_SECONDS = 180.0
_FORK_SECONDS, _FORK_TRIES = 60.0, 3
_GRACE_SECONDS = 10.0
_CLOCK_PER_CPU_SECOND = 10.0
_LONGEST_LINE = 10_000
_START = (
    "import json, sys; start = json.loads(sys.argv[1]); sys.path[:] = start['path'];"
    " from tasks.workers.fork_server import main; main(start['control'], start['preload'])"
)


@dataclass(frozen=True)
class WorkerLimits:
    """What a worker may use before it is killed; None means no limit."""

    seconds: float | None = None  # longest run of the worker, in seconds by the clock
    memory_bytes: int | None = None  # largest resident memory, in bytes, the preloaded modules (about 100 MB) included
    stall_seconds: float | None = None
    """Longest time at one position, in seconds of the worker's processor time (ten times as much by the clock). It
    holds from the first position reported (`Progress.at`) on: work that reports none cannot stall."""


class WorkerDied(TemporaryError):
    """A worker ended without a result: it exceeded a limit, was killed by a signal, or called exit."""

    def __init__(self, reason: Reason, position: int | None, detail: str) -> None:
        where = "before its first record" if position is None else f"at record offset {position}"
        super().__init__(f"The worker process died {where} ({reason}): {detail}")
        self.reason: Reason = reason
        self.position = position  # the last position the worker reported (`Progress.at`), None before its first
        self.detail = detail

    def __reduce__(self) -> tuple[type[WorkerDied], tuple[Reason, int | None, str]]:
        return type(self), (self.reason, self.position, self.detail)


def run_isolated(
    function: Callable[[Argument, Progress], Result],
    argument: Argument,
    limits: WorkerLimits,
    on_log: Callable[[str], None],
    preload: Sequence[str] = (),
    stopping: threading.Event | None = None,
) -> Result:
    """Call `function(argument, progress)` in a worker process of its own and return what it returns.

    May be called from several threads at once. `on_log` is called in this thread with each line that the worker logs or
    prints. The fork server imports the modules `preload` once; pass the same ones to share a fork server. The worker is
    killed once `stopping` is set.

    Raises:
        WorkerDied: There is no result.
        Exception: What `function` raised, with the worker's traceback as a note (RuntimeError in place of an exception
            that cannot be pickled).
    """
    blob = pickle.dumps((function, argument, str(Path.cwd()), dict(os.environ)), protocol=5)
    tries = 0
    while True:
        with _fork_server(tuple(preload)).worker(blob) as worker:
            watch = _Watch(worker, limits, on_log, stopping)
            died = watch.until_dead()
            if died is None:
                return worker.outcome()
            tries += 1
            if watch.was_forked or tries == _FORK_TRIES or died.reason == "stopped":
                raise died


class _ForkServer:
    """The parent's handle on a fork server, started on first use and again if it died."""

    def __init__(self, preload: tuple[str, ...]) -> None:
        self._preload = preload
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @contextlib.contextmanager
    def worker(self, job: bytes) -> Iterator[_Worker]:
        """A new worker with `job` (pickled) to do; when the block ends it is dead and all it used is freed."""
        with contextlib.ExitStack() as stack:
            state, result = stack.enter_context(_shared_file()), stack.enter_context(_shared_file())
            state.write(POSITION.pack(-1) + job)
            state.flush()
            status, theirs = socket.socketpair()
            stack.enter_context(status)
            log, log_end = os.pipe()
            stack.callback(os.close, log)
            os.set_blocking(log, False)
            try:
                self._request([state.fileno(), result.fileno(), log_end, theirs.fileno()])
            finally:
                theirs.close()
                os.close(log_end)
            yield _Worker(state, result, log, status)

    def _request(self, fds: list[int]) -> None:
        with self._lock:
            for _attempt in range(2):
                if self._process is None or self._process.poll() is not None:
                    self._start()
                assert self._control is not None
                try:
                    socket.send_fds(self._control, [b"c"], fds)
                    return
                except (BrokenPipeError, ConnectionResetError):
                    assert self._process is not None
                    self._process.kill()
                    self._process.wait()
        raise TemporaryError("The fork server, which starts worker processes, was killed twice in a row; run again.")

    def _start(self) -> None:
        if self._control is not None:
            self._control.close()
        self._control, theirs = socket.socketpair()
        start = {"path": sys.path, "control": theirs.fileno(), "preload": self._preload}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, json.dumps(start)],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=os.environ | safe_path() | {"PYTHONHASHSEED": "0"},
                start_new_session=True,
            )
        weakref.finalize(self, _stop, self._process, self._control)
        self._control.settimeout(_SERVER_START_SECONDS)
        said = bytearray()
        with contextlib.suppress(TimeoutError):
            while said != READY and (piece := self._control.recv(65536)):
                said += piece
        self._control.settimeout(None)
        if said != READY:
            self._process.kill()
            self._process.wait()
            raise PermanentError(
                f"The imports of the worker processes failed ({', '.join(self._preload)}): check the installation.\n"
                f"{said.decode(errors='replace') or f'The process ended with code {self._process.returncode}.'}"
            )


_fork_server = functools.cache(_ForkServer)


def _stop(process: subprocess.Popen[bytes], control: socket.socket) -> None:
    control.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_GRACE_SECONDS)


def _shared_file() -> IO[bytes]:
    """A file without a name, in memory where the system can."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("sluice-worker"), "w+b")
    return tempfile.TemporaryFile()


class _Worker:
    """What the parent holds of one worker: its files and sockets."""

    def __init__(self, state: IO[bytes], result: IO[bytes], log: int, status: socket.socket) -> None:
        self._state, self._result, self.log, self.status = state, result, log, status

    def position(self) -> int | None:
        """Return the position that the worker reported last."""
        with mmap(self._state.fileno(), 0) as state:
            at: int = POSITION.unpack_from(state)[0]
        return None if at < 0 else at

    def has_outcome(self) -> bool:
        """Whether the worker wrote an outcome; meaningful once it is dead."""
        return os.fstat(self._result.fileno()).st_size > 0

    def outcome(self) -> Any:
        """Return what the worker's function returned; raise what it raised."""
        self._result.seek(0)
        succeeded, value, text = pickle.loads(self._result.read())  # noqa: S301 - written by our own worker
        if succeeded:
            return value
        value.add_note(f"In the worker process:\n{text}")
        raise value


class _Watch:
    """Watches one worker until it is dead: passes on its log, enforces its limits."""

    def __init__(
        self,
        worker: _Worker,
        limits: WorkerLimits,
        on_log: Callable[[str], None],
        stopping: threading.Event | None,
    ) -> None:
        self._worker, self._limits, self._on_log, self._stopping = worker, limits, on_log, stopping
        self._tail = self._reported = b""
        self._began = self._moved_clock = time.monotonic()
        self._moved_cpu = 0.0
        self._at: int | None = None
        self._exceeded: tuple[Reason, str] | None = None
        self._selector = selectors.DefaultSelector()

    def until_dead(self) -> WorkerDied | None:
        """Return None once the worker has left a result, else why it died."""
        with self._selector:
            self._selector.register(self._worker.log, selectors.EVENT_READ)
            self._selector.register(self._worker.status, selectors.EVENT_READ)
            deadline = float("inf")
            while self._reported.count(b"\n") < 2 and self._worker.status in self._selector.get_map():
                self._select()
                if self._exceeded is None and (exceeded := self._broken_limit()) is not None:
                    self._exceeded = exceeded
                    with contextlib.suppress(OSError):
                        self._worker.status.send(b"k")  # the fork server kills it, and reports when it is dead
                    deadline = time.monotonic() + _GRACE_SECONDS
                if time.monotonic() > deadline:
                    break
        while self._read_log():
            pass
        self._emit(b"\n" if self._tail else b"")
        return self._diagnosis()

    @property
    def was_forked(self) -> bool:
        """Whether there was a worker at all; if the fork server died before, trying again is safe."""
        return bool(self._reported)

    def _select(self) -> None:
        for key, _ in self._selector.select(_POLL_SECONDS):
            if key.fileobj is self._worker.status:
                piece = self._worker.status.recv(64)
                self._reported += piece
                if not piece:
                    self._selector.unregister(self._worker.status)
            elif not self._read_log():
                self._selector.unregister(self._worker.log)

    def _read_log(self) -> bool:
        """Pass on what the log pipe holds; False at its end, or where nothing waits."""
        try:
            piece = os.read(self._worker.log, 65536)
        except BlockingIOError:
            return False
        self._emit(piece)
        return bool(piece)

    def _emit(self, piece: bytes) -> None:
        *lines, self._tail = (self._tail + piece).split(b"\n")
        if len(self._tail) > _LONGEST_LINE:
            lines.append(self._tail)
            self._tail = b""
        for line in lines:
            self._on_log(line[:_LONGEST_LINE].decode(errors="replace").rstrip("\r"))

    def _broken_limit(self) -> tuple[Reason, str] | None:
        pid, _, rest = self._reported.partition(b"\n")
        limits, now = self._limits, time.monotonic()
        if self._stopping is not None and self._stopping.is_set():
            return "stopped", "the run was stopped"
        if not pid and now - self._began > _FORK_SECONDS:
            return "stall", f"it was not even started after {_FORK_SECONDS:g} s"
        if not pid or rest:
            return None
        rss, cpu = _usage(int(pid))
        if limits.memory_bytes is not None and rss > limits.memory_bytes:
            return "memory", f"it used {rss / 2**20:.0f} MiB of the {limits.memory_bytes / 2**20:.0f} MiB allowed"
        if limits.seconds is not None and now - self._began > limits.seconds:
            return "time", f"it was not done after {limits.seconds:g} s"
        if (at := self._worker.position()) != self._at:
            self._at, self._moved_clock, self._moved_cpu = at, now, cpu
        if limits.stall_seconds is not None and at is not None:
            if cpu - self._moved_cpu > limits.stall_seconds:
                return "stall", f"no progress in {limits.stall_seconds:g} s of processor time"
            if now - self._moved_clock > limits.stall_seconds * _CLOCK_PER_CPU_SECOND:
                return "stall", f"no progress in {limits.stall_seconds * _CLOCK_PER_CPU_SECOND:g} s"
        return None

    def _diagnosis(self) -> WorkerDied | None:
        words = self._reported.split(b"\n")
        ended = os.waitstatus_to_exitcode(int(words[1])) if len(words) == 3 else None
        if ended == 0 and self._worker.has_outcome():
            return None
        position = self._worker.position()
        if self._exceeded is not None:
            return WorkerDied(self._exceeded[0], position, self._exceeded[1])
        if ended is None:
            return WorkerDied("signal", position, "the fork server was killed")
        if ended >= 0:
            return WorkerDied("exit", position, f"it exited with code {ended} and left no result")
        hint = "; nobody here sent it, so memory may have run out" if -ended == signal.SIGKILL else ""
        return WorkerDied("signal", position, f"it was killed by {signal.Signals(-ended).name}{hint}")


def _usage(pid: int) -> tuple[int, float]:
    """Resident memory in bytes and processor time in seconds of a process; zeros where the system does not tell."""
    try:
        rss = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, IndexError):
        return 0, 0.0
    return rss, (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
