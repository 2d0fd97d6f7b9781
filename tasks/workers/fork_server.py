"""The fork server: a small process that forks ready-made workers for `tasks.workers.worker_process`; and such a worker.

Notable:
- It is one single-threaded loop, since only a process without threads of its own can fork safely. A library that
  starts threads when imported belongs in the preload only if it survives a fork, as OpenBLAS and Arrow's allocator do.
- No worker outlives its parent. A worker dies with the fork server; the fork server ends when the parent's end of the
  control socket closes, and kills a worker when the parent's end of its status socket closes. A parent-death signal
  alone would be wrong: it is tied to the *thread* that started the process, and those of a task runner come and go.
- Only the fork server sends signals to its workers, and it forgets a worker as it reaps it, so no signal can reach
  another process that was given the same id.
"""

import contextlib
import ctypes
import faulthandler
import gc
import importlib
import logging
import os
import pickle
import selectors
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Sequence
from mmap import mmap
from pathlib import Path
from typing import NoReturn

POSITION = struct.Struct("=q")
"""What a worker's state file begins with: the position it works at, a signed 64-bit number, -1 before the first."""
READY = b"ready"
"""What the fork server sends once its imports are done; anything else it sends is the text of the error."""
FILES_PER_WORKER = 4  # descriptors that come with a request for a worker: its state, its result, its log and its status

_PR_SET_PDEATHSIG = 1


class Progress:
    """Reports a worker's position, so that the parent knows where it died or stalled."""

    def __init__(self, state: mmap) -> None:
        self._cell = memoryview(state)[: POSITION.size].cast("q")

    def at(self, position: int) -> None:
        """Report that work at `position` (a record's offset, in bytes) begins; takes a fraction of a microsecond."""
        self._cell[0] = position


def main(control_fd: int, preload: Sequence[str]) -> None:
    """Import `preload`, then fork a worker for each request on the socket `control_fd` until its other end closes."""
    control = socket.socket(fileno=control_fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for name in preload:
            importlib.import_module(name)
    except Exception:
        control.sendall(traceback.format_exc().encode())
        return
    gc.collect()
    gc.freeze()
    control.sendall(READY)
    _ForkServer(control).serve()


class _ForkServer:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._workers: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._wakeups, self._waker = socket.socketpair()
        for end in (self._wakeups, self._waker):
            end.setblocking(False)
        self._selector.register(self._wakeups, selectors.EVENT_READ)
        # Without a handler the wake-up descriptor is not written to.
        signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)

    def serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._control:
                    request, fds, _, _ = socket.recv_fds(self._control, 1, FILES_PER_WORKER)
                    if not request:
                        for pid in self._workers:
                            with contextlib.suppress(KeyError):
                                self._kill(pid)
                        return
                    self._fork(*fds)
                elif key.fileobj is self._wakeups:
                    self._wakeups.recv(4096)
                    self._reap()
                elif key.data in self._workers:
                    self._kill(key.data)

    def _fork(self, state_fd: int, result_fd: int, log_fd: int, status_fd: int) -> None:
        fork_server_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._forget_everything()
            os.close(status_fd)
            _run_worker(fork_server_pid, state_fd, result_fd, log_fd)
        for fd in (state_fd, result_fd, log_fd):
            os.close(fd)
        status = socket.socket(fileno=status_fd)
        self._workers[pid] = status
        self._selector.register(status, selectors.EVENT_READ, pid)
        _report(status, pid)

    def _forget_everything(self) -> None:
        """In a new worker: close what belongs to the fork server, so that no other worker's end waits on this one."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for end in (self._control, self._wakeups, self._waker, *self._workers.values()):
            end.close()

    def _kill(self, pid: int) -> None:
        self._selector.unregister(self._workers[pid])
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        for pid, status in list(self._workers.items()):
            done, code = os.waitpid(pid, os.WNOHANG)
            if done:
                with contextlib.suppress(KeyError):
                    self._selector.unregister(status)
                _report(status, code)
                status.close()
                del self._workers[pid]


def _report(status: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # the parent may have given the worker up
        status.sendall(b"%d\n" % number)


def _run_worker(fork_server_pid: int, state_fd: int, result_fd: int, log_fd: int) -> NoReturn:
    """Run a worker: read the job, do it, write the outcome to the result file, and exit without clean-ups."""
    code = 1
    try:
        _die_with_parent(fork_server_pid)
        _redirect_output(log_fd)
        state = mmap(state_fd, 0)
        function, argument, folder, environment = pickle.loads(state[POSITION.size :])  # noqa: S301 - from our parent
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        outcome = _outcome(function, argument, Progress(state))
        with os.fdopen(result_fd, "wb", closefd=False) as result:
            result.write(outcome)
        code = 0
    except SystemExit as exit_request:
        code = exit_request.code if isinstance(exit_request.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


def _outcome(function: object, argument: object, progress: Progress) -> bytes:
    """Return the pickled outcome of the job: (True, result, "") or (False, exception, traceback)."""
    assert callable(function)
    try:
        return pickle.dumps((True, function(argument, progress), ""), protocol=5)
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        error.__traceback__ = error.__cause__ = error.__context__ = None
        with contextlib.suppress(Exception):
            blob = pickle.dumps((False, error, text), protocol=5)
            pickle.loads(blob)  # noqa: S301 - our own bytes: many exceptions can be pickled but not unpickled
            return blob
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}"), text), protocol=5)


def _die_with_parent(fork_server_pid: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # When memory runs out, this worker is what the system should kill, and not the flow.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("500")
    if os.getppid() != fork_server_pid:
        os._exit(1)
    os.setsid()


def _redirect_output(log_fd: int) -> None:
    """Standard output, errors and logging go to the log pipe, line by line; there is no standard input."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for fd in (1, 2):
        os.dup2(log_fd, fd)
    os.close(log_fd)
    sys.stdout, sys.stderr = (
        os.fdopen(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False) for fd in (1, 2)
    )
    faulthandler.enable()
    logging.basicConfig(
        level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr, force=True
    )
    logging.getLogger("tasks").setLevel(logging.INFO)
