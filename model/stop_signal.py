"""Turns SIGTERM into a question the training loop asks after each step."""

from __future__ import annotations

import signal
from types import FrameType


class StopSignal:
    """Remembers that SIGTERM came; a second one does no more than the first."""

    def __init__(self) -> None:
        self.raised = False
        """Whether SIGTERM has come."""
        signal.signal(signal.SIGTERM, self._raise)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.raised = True
