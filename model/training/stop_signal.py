"""SIGTERM as a flag that the training loop checks after each step.

Notable: a step and a checkpoint have to fit into the time before SIGKILL: 30 s under accelerate and torchrun, 25 s
under `sluice`, and as configured under Slurm or Kubernetes.
"""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class StopSignal:
    """A context that records SIGTERM; a second one has no further effect."""

    def __init__(self) -> None:
        self.raised = False
        """Whether SIGTERM has come."""

    def __enter__(self) -> StopSignal:
        self._before = signal.signal(signal.SIGTERM, self._raise)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.raised = True
