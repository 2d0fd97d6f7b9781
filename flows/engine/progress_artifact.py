"""How far a stage is, as an artifact in Prefect's UI that is updated in place: parts, rate, and the time that is left.

Notable: a stage that is over within seconds has none, and no artifact is updated more than once in five seconds, so
what is shown costs next to nothing.
"""

import time
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from flows.display.numbers import duration

_LONG_SECONDS = 5.0


class ProgressArtifact:
    """The artifact of one stage of one flow run."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._artifact: UUID | None = None
        self._first: tuple[float, int] | None = None
        self._shown = 0.0

    def show(self, done: int, total: int) -> None:
        """Show that so many parts are done. Must be called inside the flow."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._shown = (now, done), now
        if now - self._shown < _LONG_SECONDS and not (self._artifact and done == total):
            return
        self._shown = now
        percent = 100.0 * done / total if total else 100.0
        words = self._words(now, done, total)
        if self._artifact is None:
            made = create_progress_artifact(percent, description=words)
            assert isinstance(made, UUID)
            self._artifact = made
        else:
            update_progress_artifact(self._artifact, percent, description=words)

    def _words(self, now: float, done: int, total: int) -> str:
        assert self._first is not None
        began, before = self._first
        words = f"{self._stage}: {done:,} of {total:,}"
        if (new := done - before) and (seconds := now - began):
            words += f", {60 * new / seconds:.3g} a minute"
            if left := total - done:
                words += f", {duration(left * seconds / new)} left"
        return words
