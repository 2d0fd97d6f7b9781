"""Runs between a flow and a program that it started, so that no process of the program outlives either.

Run as a script, with nothing but the standard library: `python program_supervisor.py LIFELINE GRACE COMMAND...`.

Notable:
- The flow holds the other end of LIFELINE, a pipe. A byte on it asks for an orderly end: SIGTERM to the program's
  process group, GRACE seconds, SIGKILL to whatever is left. Its closing means that the flow is gone, however it died:
  SIGKILL at once, so that a new run has its checkpoints to itself.
- A process group is not enough: torch's elastic agent gives every worker a session of its own. On Linux this process is
  therefore the subreaper of all that the program starts: a process whose parent died becomes its child, so everything
  is found below it and nothing can escape. Elsewhere the process group has to do.
- The program dies with this process (parent-death signal), which never has a second thread. On Linux it also stays in
  this process's group, so that the flow can end that group should this process be killed.
- Its exit code is the program's, 128 + n for a program killed by signal n.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_POLL_SECONDS = 0.02


def main(lifeline: int, grace_seconds: float, command: list[str]) -> int:
    """Run `command` until it ends or the lifeline does; return its exit code."""
    linux = sys.platform == "linux"
    os.set_inheritable(lifeline, False)
    if linux:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    asked = [False]
    signal.signal(signal.SIGTERM, lambda *_: asked.__setitem__(0, True))
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    wake, bell = os.pipe()
    for end in (wake, bell):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    program = _start(command, linux)
    events = select.poll()  # select.select takes no file above number 1023
    for end in (lifeline, wake):
        events.register(end, select.POLLIN)
    code: int | None = None
    deadline: float | None = None
    while True:
        code, alone = _reap(program, code)
        if alone or (code is not None and deadline is None):
            break
        if deadline is not None and time.monotonic() > deadline:
            break
        ready = [file for file, _ in events.poll(None if deadline is None else _POLL_SECONDS * 5_000)]
        with contextlib.suppress(BlockingIOError):
            os.read(wake, 4096)
        if lifeline in ready and not os.read(lifeline, 1):
            break
        if (lifeline in ready or asked[0]) and deadline is None:
            deadline = time.monotonic() + grace_seconds
            _signal_group(0 if linux else program, signal.SIGTERM)
    return _kill_the_rest(program, code, linux)


def _start(command: list[str], linux: bool) -> int:
    supervisor = os.getpid()
    program = os.fork()
    if program:
        return program
    if not linux:
        os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    for restored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(restored, signal.SIG_DFL)
    if linux:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:
        os._exit(1)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127)


def _reap(program: int, code: int | None) -> tuple[int | None, bool]:
    """Reap ended processes; return the program's exit code once it is known, and whether no process is left."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code, True
        if pid == 0:
            return code, False
        if pid == program:
            ended = os.waitstatus_to_exitcode(status)
            code = ended if ended >= 0 else 128 - ended


def _kill_the_rest(program: int, code: int | None, linux: bool) -> int:
    while True:
        code, alone = _reap(program, code)
        if alone:
            return 128 + signal.SIGKILL if code is None else code
        if not linux:
            _signal_group(program, signal.SIGKILL)
        for pid in _descendants() if linux else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _signal_group(group: int, number: signal.Signals) -> None:
    """Signal this process's own group (0); its own handler ignores a second SIGTERM."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _descendants() -> list[int]:
    """Return all processes below this one, by their parents in /proc."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
    found, waiting = [], [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
