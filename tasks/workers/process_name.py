"""Which process did something, and whether it is still there."""

import os
import socket
from pathlib import Path

import xxhash

from tasks.base.config import Config


class ProcessName(Config):
    """A process, as another one can look for it."""

    host: str
    """Name of its machine, for people."""
    machine: str
    """The machine's boot and the process namespace: equal only where process ids mean the same processes."""
    pid: int

    @property
    def is_gone(self) -> bool:
        """Whether it has certainly ended; False where that cannot be known from here."""
        if self.machine != _machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):  # another user's, or no process's
            return False
        return False


def this_process() -> ProcessName:
    """Return the name of the process that calls."""
    return ProcessName(host=socket.gethostname(), machine=_machine(), pid=os.getpid())


def process_mark() -> str:
    """Return a short name of this process for the names of its temporary files."""
    return f"{xxhash.xxh3_64_hexdigest(_machine())}-{os.getpid()}"


def mark_is_abandoned(mark: str) -> bool:
    """Return whether the process of that mark has certainly ended."""
    machine, _, pid = mark.partition("-")
    ours, _, own_pid = process_mark().partition("-")
    if machine != ours or not pid.isdecimal() or pid == own_pid:
        return False
    return ProcessName(host="", machine=_machine(), pid=int(pid)).is_gone


def _machine() -> str:
    """Return what tells apart hosts, boots of a host, and containers, which may all have one host name."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return socket.gethostname()
