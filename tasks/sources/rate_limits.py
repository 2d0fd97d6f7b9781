"""The rate limits that all workers of a machine keep together: few connections, a steady pace, and pauses.

Notable:
- What the worker processes share lies in files: a slot for each connection, locked as long as it is open, and one small
  state. A lock ends with its process, however that ends.
- The state is in the clock's time. Where the clock was set back, its times are too: nobody waits for them twice.
- A refusal says something about the server and not about the file, so all workers pause. Requests refused together
  count once: only a request made after the last pause began doubles the next.
- The limits of a source hold for all runs of one user on one machine; on a cluster each machine has its own, so the
  recipe must make them small enough.
"""

import contextlib
import fcntl
import json
import logging
import os
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import xxhash

from tasks.base.private_folder import private_folder
from tasks.sources.transfer import TransferConfig

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.05
_LONGEST_NAP_SECONDS = 0.5
_LINGER_SECONDS = 0.02
_MOST_DOUBLINGS = 30
_CLOCK_STEP_SECONDS = 1.0
_REPORTED_SECONDS = 10.0


@dataclass
class _State:
    """What the workers share; times in seconds since 1970."""

    next_at: float = 0.0  # when the next request may start
    paused_at: float = 0.0  # when the last pause began
    paused_until: float = 0.0
    refusals: int = 0  # refusals minus answers, never below 0: how often the pause is doubled
    set_by: float = 0.0  # how far the clock was ahead of the machine's running time, which nobody can set


class RateLimiter:
    """Enforces the limits of one source, `place` (such as https://data.commoncrawl.org), among all processes."""

    def __init__(self, place: str, limits: TransferConfig) -> None:
        self._place, self._limits = place, limits
        self._folder = private_folder("rate-limits") / xxhash.xxh3_64_hexdigest(place)
        self._folder.mkdir(exist_ok=True)

    @contextlib.contextmanager
    def connection(self) -> Iterator[None]:
        """Hold one of the connections, after waiting for a free one; open it inside, and close it before leaving."""
        slot = self._free_slot()
        try:
            yield
        finally:
            # The server notices the end a little later than we do, and must not count us twice.
            time.sleep(_LINGER_SECONDS)
            os.close(slot)

    def await_turn(self) -> float:
        """Wait until a request may start, no longer than the longest pause; return the time, for `refused`."""
        began, reported = time.time(), False
        patience = max(self._limits.longest_pause_seconds, self._limits.longest_retry_after_seconds)
        while True:
            with self._state() as state:
                now = time.time()
                due = min(max(state.next_at, state.paused_until), min(began, now) + patience)
                if due <= now:
                    state.next_at = now + 1 / self._limits.requests_per_second
                    return now
            if due - now > _REPORTED_SECONDS and not reported:
                _log.info("%s asked for a pause: going on in %.0f s", self._place, due - now)
                reported = True
            time.sleep(min(due - now, _LONGEST_NAP_SECONDS))

    def refused(self, asked_at: float, retry_after_seconds: float = 0.0) -> None:
        """Make all workers pause, since a request started at `asked_at` was refused."""
        limits = self._limits
        with self._state() as state:
            now = time.time()
            pause = min(retry_after_seconds, limits.longest_retry_after_seconds)
            if asked_at >= state.paused_at:
                if now > state.paused_until + limits.longest_retry_after_seconds:
                    state.refusals = 0
                doubled = limits.first_pause_seconds * 2.0 ** min(state.refusals, _MOST_DOUBLINGS)
                pause = max(pause, min(doubled * random.uniform(1.0, 1.5), limits.longest_pause_seconds))
                state.refusals += 1
                state.paused_at = now
            state.paused_until = max(state.paused_until, now + pause)

    def answered(self) -> None:
        """Make the next pause, if there is one, a step shorter, since a request was answered."""
        with self._state() as state:
            state.refusals = max(0, state.refusals - 1)

    def _free_slot(self) -> int:
        numbers = list(range(self._limits.connections))
        random.shuffle(numbers)
        while True:
            for number in numbers:
                slot = os.open(self._folder / f"connection-{number}", os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return slot
                except BlockingIOError:
                    os.close(slot)
            time.sleep(_POLL_SECONDS * random.uniform(0.5, 1.0))

    @contextlib.contextmanager
    def _state(self) -> Iterator[_State]:
        """Lock the shared state for this process; changes to it are written back."""
        with os.fdopen(os.open(self._folder / "state.json", os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            before = file.read()
            try:
                state = _State(**json.loads(before))
            except (ValueError, TypeError):  # there is none yet, or only half of one, left by a killed process
                state = _State()
            set_by = time.time() - time.monotonic()
            if (back := min(0.0, set_by - state.set_by)) < -_CLOCK_STEP_SECONDS:
                state.next_at, state.paused_at, state.paused_until = (
                    at + back for at in (state.next_at, state.paused_at, state.paused_until)
                )
            if abs(set_by - state.set_by) > _CLOCK_STEP_SECONDS:
                state.set_by = set_by
            yield state
            after = json.dumps(asdict(state)).encode()
            if after != before:
                file.seek(0)
                file.write(after)
                file.truncate()
                file.flush()
