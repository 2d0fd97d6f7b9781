"""What the programs that follow a job elsewhere have in common: the command line, SIGTERM as a flag, and patience with
a cluster that does not answer.
"""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 2.0
"""Between two looks at a job."""
_LONGEST_SILENCE_SECONDS = 600.0
"""How long a cluster may not answer before the job is given up."""


class ClusterError(Exception):
    """The cluster refused something; the message quotes it."""


class NoAnswer(ClusterError):
    """The cluster does not answer; it may do so later."""


class StopRequest:
    """Remembers whether SIGTERM has come, from when it is made."""

    exit_code = 128 + signal.SIGTERM

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def wait(self, seconds: float) -> None:
        """Sleep, but not through the signal."""
        deadline, before = time.monotonic() + seconds, self.asked
        while time.monotonic() < deadline and self.asked == before:
            time.sleep(0.1)

    def _ask(self, number: int, frame: object) -> None:
        self.asked = True


def with_patience(ask: Callable[[], T]) -> T:
    """Return what `ask` returns; where it raises NoAnswer, ask again for some minutes, as while a server restarts."""
    deadline = time.monotonic() + _LONGEST_SILENCE_SECONDS
    while True:
        try:
            return ask()
        except NoAnswer:
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_SECONDS)


def run_follower(follow: Callable[[Path], int], arguments: list[str]) -> int:
    """Follow the job of the file that is the only argument; return the exit code."""
    if len(arguments) != 1:
        print(f"usage: python -m flows.launch.{Path(sys.argv[0]).stem} FILE", file=sys.stderr)
        return 2
    try:
        return follow(Path(arguments[0]))
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
