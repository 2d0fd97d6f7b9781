"""A deadline in processor time for a piece of Python code: code that hangs is interrupted, and nothing is killed.

Notable:
- The clock is the process's processor time (ITIMER_PROF), so a busy machine does not shorten the deadline.
- Code under the deadline may swallow `Exception` at every level, as extractors do. The interrupt is therefore a
  BaseException, raised again every tenth of a second until the code ends; the caller sees an ordinary exception.
- An interrupt that arrives while this module's own methods run is noted and not raised, so the timer and the handler
  are restored in every case.
- Code inside a C call is not reached; the stall limit of `tasks.workers.worker_process` covers that.
"""

import signal
import time
from types import FrameType, TracebackType
from typing import Any, Literal

_AGAIN_SECONDS = 0.1
_SOON_SECONDS = 1e-6


class DeadlineExceeded(Exception):
    """The code used more processor time than it was given."""


class _Interrupt(BaseException):
    """Raised into the code under the deadline; never leaves this module."""


class cpu_deadline:
    """Raise DeadlineExceeded if the block uses more than `seconds` of this process's processor time.

    For the main thread only, where Python runs signal handlers. May be nested: an inner block never outlasts the outer.
    """

    __slots__ = ("_began", "_expired", "_handler", "_outer_left", "_outer_repeat", "_seconds")

    def __init__(self, seconds: float) -> None:
        if seconds <= 0:
            raise ValueError(f"A deadline is a positive number of seconds, not {seconds!r}.")
        self._seconds = seconds
        self._expired = False

    def __enter__(self) -> None:
        self._began = time.process_time()
        self._handler: Any = signal.signal(signal.SIGPROF, self._interrupt)
        self._outer_left, self._outer_repeat = signal.getitimer(signal.ITIMER_PROF)
        armed = min(self._seconds, self._outer_left) if self._outer_left else self._seconds
        signal.setitimer(signal.ITIMER_PROF, armed, _AGAIN_SECONDS)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, self._handler)
        if self._outer_left:
            left = self._outer_left - (time.process_time() - self._began)
            signal.setitimer(signal.ITIMER_PROF, max(left, _SOON_SECONDS), self._outer_repeat)
        if self._expired and (error is None or isinstance(error, Exception | _Interrupt)):
            raise DeadlineExceeded(f"It took more than {self._seconds:g} s of processor time.") from None
        return False

    def _interrupt(self, _signal: int, frame: FrameType | None) -> None:
        self._expired = True
        if frame is None or frame.f_code not in _OWN_CODE:
            raise _Interrupt


_OWN_CODE = (cpu_deadline.__enter__.__code__, cpu_deadline.__exit__.__code__, cpu_deadline._interrupt.__code__)
