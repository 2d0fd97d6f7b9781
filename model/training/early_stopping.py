"""When a run ends before its last step: its time is up, or the held-out loss no longer falls.

Notable: either way the run is finished, and its newest checkpoint is the model. The counts are part of the checkpoint,
so a finished run that is started again ends at once, and one that is given more hours or more patience goes on. A run
that is to be resumed gets SIGTERM instead (model/training/stop_signal.py).
"""

from model.base.config import LoopConfig
from model.checkpoints.progress import EarlyStoppingState


class EarlyStopping:
    """Counts evaluations and hours against the loop's `patience` and `max_hours`."""

    def __init__(self, loop: LoopConfig, state: EarlyStoppingState) -> None:
        self._loop = loop
        self._best_loss, self._without_best = state.best_loss, state.without_best

    def saw_held_out_loss(self, loss: float) -> None:
        """Count an evaluation; every process must call it with the same loss."""
        if self._best_loss is None or loss < self._best_loss:
            self._best_loss, self._without_best = loss, 0
        else:
            self._without_best += 1

    def out_of_time(self, seconds: float) -> bool:
        """Return whether this many seconds of training are too many. Clocks differ, so one process decides for all."""
        return bool(self._loop.max_hours) and seconds >= self._loop.max_hours * 3600.0

    @property
    def out_of_patience(self) -> bool:
        """Whether the last evaluations found nothing better; the same on every process."""
        return bool(self._loop.patience) and self._without_best >= self._loop.patience

    def state(self, seconds: float) -> EarlyStoppingState:
        """Return what to keep in a checkpoint after this many seconds of training."""
        return EarlyStoppingState(seconds, self._best_loss, self._without_best)
