"""Jobs that the tests of tasks.workers.worker_process give to workers: good ones and every kind of bad one."""

import ctypes
import errno
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tasks.base.errors import PermanentError
from tasks.workers.worker_process import Progress


@dataclass(frozen=True)
class Sum:
    """An argument and a result."""

    numbers: tuple[int, ...]


def add(argument: Sum, progress: Progress) -> int:
    """The sum, told page by page."""
    for position, _ in enumerate(argument.numbers):
        progress.at(position)
    return sum(argument.numbers)


def process_id(_argument: None, _progress: Progress) -> tuple[int, int]:
    """The worker's process id and its parent's."""
    return os.getpid(), os.getppid()


def echo(argument: bytes, _progress: Progress) -> bytes:
    """The argument again."""
    return argument


def talk(lines: int, _progress: Progress) -> None:
    """Say things in every way a library might."""
    logging.getLogger("tasks.talker").info("logged")
    logging.getLogger("elsewhere").info("too chatty")
    for number in range(lines):
        print(f"printed {number}")
    os.write(2, b"written by C code, no newline")


def fail(kind: str, progress: Progress) -> None:
    """Raise the exception that `kind` names."""
    progress.at(77)
    if kind == "permanent":
        raise PermanentError("field x: is wrong")
    if kind == "disk":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/store/part")
    if kind == "memory":
        raise MemoryError
    if kind == "unpicklable":
        error = ValueError("holds a lock")
        error.lock = threading.Lock()  # type: ignore[attr-defined]
        raise error
    raise ValueError(kind)


def die(kind: str, progress: Progress) -> None:
    """End without a result, in the way that `kind` names."""
    progress.at(4096)
    if kind == "segfault":
        ctypes.string_at(0)
    if kind == "sigkill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "exit":
        sys.exit(0)
    if kind == "hard exit":
        os._exit(9)
    hoard = []
    while kind == "memory":
        hoard.append(bytearray(b"x" * 2**20))
    while kind == "stall":
        pass
    while kind == "time":
        progress.at(int(time.time() * 1e6))


def work_untold(seconds: float, progress: Progress) -> None:
    """Use `seconds` of processor time without a word on where, then tell a position."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    progress.at(5)


def sleep(folder: str, progress: Progress) -> None:
    """Leave the process id in `folder` and sleep for long."""
    progress.at(1)
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)


def surroundings(name: str, _progress: Progress) -> tuple[str, str | None, int]:
    """The working folder, an environment variable and a string's hash."""
    return str(Path.cwd()), os.environ.get(name), hash("sluice")


def open_files(_argument: None, _progress: Progress) -> list[str]:
    """What the worker's descriptors point to."""
    return sorted(str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink())
