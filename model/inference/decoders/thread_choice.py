"""How many threads a pass gets: all of them, or one where other work has the processors.

Notable: threads of a pass wait for each other at every product, so one that has to wait for its processor stops all of
them; on a machine with other work two threads were three to ten times slower than one. The numbers do not depend on the
threads, so the choice is free, and is taken by what passes took lately.
"""

import statistics
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

_KEPT = 5
"""Passes whose median is believed: a thread that has just begun, or a turn of another program, is no rule."""
_TRY_EVERY = 64
"""Passes until the slower number is tried again: when it is four times slower, that costs 5%."""


class ThreadChoice:
    """Remembers what a row of a pass took with one thread and with several, by the size of the pass."""

    def __init__(self) -> None:
        self._taken: dict[tuple[int, int], deque[float]] = {}
        """Seconds a row of the newest passes, by the pass's number of rows in bits and the number of threads."""
        self._passes = 0

    @contextmanager
    def threads(self, rows: int, most: int) -> Iterator[int]:
        """Give the number of threads for a pass over `rows` rows, 1 or `most`, and remember how long it takes."""
        self._passes += 1
        alone, together = (
            self._taken.setdefault((rows.bit_length(), threads), deque(maxlen=_KEPT)) for threads in (1, most)
        )
        if min(len(alone), len(together)) < _KEPT:
            several = len(together) <= len(alone)
        else:
            several = statistics.median(together) <= statistics.median(alone)
            several ^= self._passes % _TRY_EVERY == 0
        began = time.perf_counter()
        yield most if several else 1
        (together if several else alone).append((time.perf_counter() - began) / rows)
