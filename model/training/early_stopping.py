"""When a run ends before its last step: its time is up, or the held-out loss does not fall any more.

Notable: both end it as it is, as finished as at its last step: the newest checkpoint is the model. What they count is
part of the checkpoint, so a finished run that is started again ends at once, and one with more hours or more patience
goes on. A run that has to be resumed is another matter, that of SIGTERM (model/training/stop_signal.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from model.base.config import LoopConfig


@dataclass(frozen=True)
class EarlyStoppingState:
    """What has been counted up to a checkpoint."""

    seconds: float = 0.0
    """Seconds of training, over all resumes."""
    best_loss: float | None = None
    """Lowest held-out loss so far, in nats per token."""
    without_best: int = 0
    """Evaluations since then."""


class EarlyStopping:
    """Counts evaluations and hours against the loop's `patience` and `max_hours`."""

    def __init__(self, loop: LoopConfig, memory: EarlyStoppingState) -> None:
        self._loop = loop
        self._best_loss, self._without_best = memory.best_loss, memory.without_best

    def saw_held_out_loss(self, loss: float) -> None:
        """Counts an evaluation; every process must call it with the same loss."""
        if self._best_loss is None or loss < self._best_loss:
            self._best_loss, self._without_best = loss, 0
        else:
            self._without_best += 1

    def out_of_time(self, seconds: float) -> bool:
        """Whether this many seconds of training are too many. Clocks differ: one process decides for all."""
        return bool(self._loop.max_hours) and seconds >= self._loop.max_hours * 3600.0

    @property
    def out_of_patience(self) -> bool:
        """Whether the last evaluations found nothing better; the same on every process."""
        return bool(self._loop.patience) and self._without_best >= self._loop.patience

    def memory(self, seconds: float) -> EarlyStoppingState:
        """What to keep in a checkpoint after this many seconds of training."""
        return EarlyStoppingState(seconds, self._best_loss, self._without_best)
