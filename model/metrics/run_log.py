"""What a run reports while it trains: the metrics log, the trackers, and a message when it ends early.

Notable: the main process has a `RunLog`, every other one a `SilentLog`, so that the training loop need not distinguish.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from model.metrics.metrics_log import MetricsLog
from model.metrics.step_speed import StepSpeed
from model.metrics.trackers import Trackers


class RunLog:
    """The log of the main process: metrics.jsonl (model/metrics/metrics_log.py has the lines) and the trackers."""

    def __init__(
        self, folder: Path, trackers: Sequence[str], settings: Mapping[str, Any], speed: StepSpeed, step: int
    ) -> None:
        """Open the log in the model folder, to go on from `step`; `settings` are for the trackers to show."""
        self._folder, self._names, self._settings, self._speed = folder, trackers, settings, speed
        self._started = time.perf_counter()
        self._open(step)

    def count_step(self, tokens: int, seconds: float, waited: float) -> None:
        """Count a step, whether it is written or not: tokens of all processes, seconds, and seconds waited for data."""
        self._speed.add(tokens, seconds, waited)

    def write(self, event: str, step: int, **values: Any) -> None:
        """Append one event."""
        self._log.write(event, step, **values)
        self._trackers.write(event, step, values)

    def write_step(
        self, step: int, tokens: int, loss: float, lr: float, norm: float, metrics: Mapping[str, Any]
    ) -> None:
        """Append a step: loss, learning rate of the matrices, gradient norm before clipping, metrics of the loss."""
        more = {"seconds": self._seconds(), **self._speed.line(loss), **metrics}
        self.write("step", step, tokens=tokens, loss=loss, lr=lr, grad_norm=norm, **more)

    def rewind(self, step: int, **values: Any) -> None:
        """Remove what came after `step`, and write why."""
        self.close()
        self._open(step)
        self.write("rewind", step, **values)

    def end(self, step: int, tokens: int, reason: str) -> None:
        """Append the last event; `reason` is why the run ends before its last step, or empty."""
        self.write("done", step, tokens=tokens, seconds=self._seconds(), **({"reason": reason} if reason else {}))
        if reason:
            print(f"training ended after step {step}: {reason}", flush=True)

    def close(self) -> None:
        """Close the files."""
        self._log.close()
        self._trackers.close()

    def _open(self, step: int) -> None:
        self._trackers = Trackers(self._names, self._folder, self._settings, step)
        self._log = MetricsLog(self._folder / "metrics.jsonl", step)

    def _seconds(self) -> float:
        return round(time.perf_counter() - self._started, 3)


class SilentLog:
    """The log of every other process: takes the same calls, without effect."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments, **values: None
