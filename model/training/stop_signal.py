"""SIGTERM as a flag that the training loop checks after each step.

Notable: a step and a checkpoint have to fit into the time before SIGKILL: 30 s under accelerate and torchrun, 25 s
under `sluice`, and as configured under Slurm or Kubernetes.
"""

from __future__ import annotations

import signal
from types import FrameType


class StopSignal:
    """A context that records SIGTERM; a second one has no further effect."""

    raised = False
    """Whether SIGTERM has come."""

    def __enter__(self) -> StopSignal:
        self._before = signal.signal(signal.SIGTERM, self._raise)
        return self

    def __exit__(self, *error: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.raised = True
