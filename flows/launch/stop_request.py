"""SIGTERM as a flag, for the programs that follow a job elsewhere."""

import signal
import time


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
