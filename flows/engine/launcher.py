"""Starts a program for a flow, streams its output, and leaves none of its processes behind, whatever happens.

Notable:
- The program runs under `flows.engine.program_supervisor`, which holds its processes together and ends them.
- Nothing here depends on the thread that calls: in a flow's main thread, where Prefect delivers a cancellation, the
  program gets its SIGTERM and time to save a checkpoint; and even after kill -9 of the flow it is ended.
- A launcher's exit code may hide its worker's: accelerate and torchrun exit with 1 whatever the trainer's was.
"""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event

from tasks.base.safe_path import safe_path

_SUPERVISOR = Path(__file__).with_name("program_supervisor.py")
_LONGEST_LINE = 10_000
_POLL_MILLISECONDS = 200


class SupervisedProgram:
    """A running program: its output, and the two ways to end it."""

    def __init__(self, process: subprocess.Popen[bytes], lifeline: int) -> None:
        self._process = process
        self._lifeline: int | None = lifeline
        self._rest = b""

    def lines(self, stopping: Event | None = None) -> Iterator[str]:
        """Yield the program's output line by line (a carriage return ends one too) until all its processes are gone.

        Once `stopping` is set, the program is asked to end.
        """
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        output = select.poll()  # select.select takes no file above number 1023
        output.register(pipe, select.POLLIN)
        while True:
            if stopping is not None and stopping.is_set():
                self.ask_to_end()
            # A process that escaped a killed supervisor may keep the pipe open for ever.
            gone = not self.is_running()
            if not output.poll(0 if gone else _POLL_MILLISECONDS):
                if gone:
                    break
                continue
            if not (piece := os.read(pipe, 65536)):
                break
            *lines, self._rest = re.split(rb"\r\n|\n|\r", self._rest + piece)
            if len(self._rest) > _LONGEST_LINE:
                lines.append(self._rest)
                self._rest = b""
            yield from (line[:_LONGEST_LINE].decode(errors="replace") for line in lines)
        if self._rest:
            yield self._rest.decode(errors="replace")
            self._rest = b""

    def is_running(self) -> bool:
        """Return whether any of its processes is left."""
        return self._process.poll() is None

    def wait(self) -> int:
        """Wait until all its processes are gone; return its exit code, 128 + n if signal n killed it."""
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def ask_to_end(self) -> None:
        """Send SIGTERM to its processes, and SIGKILL to what is left after the grace period. Return at once."""
        if self._lifeline is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._lifeline, b"t")

    def kill(self) -> None:
        """Send SIGKILL to all its processes; none is left when this returns."""
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        if self._process.wait() < 0:  # the supervisor itself was killed
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


@contextlib.contextmanager
def supervised(
    command: Sequence[str],
    grace_seconds: float = 25.0,
    env: Mapping[str, str | None] | None = None,
    cwd: str | Path | None = None,
) -> Iterator[SupervisedProgram]:
    """Run `command` during the block, its output and errors in one pipe; all its processes are gone after the block.

    If the block is left while it runs, it is asked to end, and killed after `grace_seconds`. `env` adds to this
    process's environment, and takes from it what is None. A Python program imports nothing from the current folder
    (`tasks.base.safe_path`).
    """
    variables = {**os.environ, **safe_path(), "PYTHONUNBUFFERED": "1", **(env or {})}
    hold, lifeline = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SUPERVISOR), str(hold), str(grace_seconds), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[hold],
            env={name: value for name, value in variables.items() if value is not None},
            cwd=cwd,
            start_new_session=True,
        )
    except BaseException:
        os.close(lifeline)
        raise
    finally:
        os.close(hold)
    program = SupervisedProgram(process, lifeline)
    with process:
        try:
            yield program
        finally:
            try:
                program.ask_to_end()
                for _ in program.lines():
                    pass
            finally:  # also where a second interrupt cuts the grace short
                program.kill()


def run_program(
    command: Sequence[str],
    on_line: Callable[[str], None],
    grace_seconds: float = 25.0,
    env: Mapping[str, str | None] | None = None,
    cwd: str | Path | None = None,
    stopping: Event | None = None,
) -> int:
    """Run `command` to its end and return its exit code (128 + n if signal n killed it, 127 if it cannot be started).

    Each line it prints goes to `on_line`, in the calling thread. If an exception (a cancellation, an interrupt, one of
    `on_line`'s own) ends the call early, the program's processes get SIGTERM, after `grace_seconds` SIGKILL, and are
    gone when the exception leaves; `on_line` still hears what they say meanwhile. `stopping`, which another thread may
    set, is SIGTERM too.
    """
    with supervised(command, grace_seconds, env, cwd) as program:
        try:
            for line in program.lines(stopping):
                on_line(line)
        except BaseException:
            program.ask_to_end()
            for line in program.lines():
                with contextlib.suppress(Exception):
                    on_line(line)
            raise
        return program.wait()
