"""Random draws that are the same on every machine and every Python.

Notable: Python promises the same sequence across versions only for `random.random()` after an integer seed; `choice`,
`shuffle` and `sample` may change. So only `random()` is used here.
"""

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draws:
    """A stream of draws named by a seed and a purpose, so that one purpose's draws never shift another's."""

    def __init__(self, seed: int, *purpose: object) -> None:
        name = "/".join(str(part) for part in (seed, *purpose))
        self._random = random.Random(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))

    def below(self, n: int) -> int:
        """Return a whole number in 0..n-1; `n` must be positive and below 2^53."""
        return int(self._random.random() * n)

    def between(self, low: int, high: int) -> int:
        """Return a whole number in low..high, both included."""
        return low + self.below(high - low + 1)

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self._random.random() < probability

    def choose(self, items: Sequence[T]) -> T:
        """Return one of the items, all equally likely."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return the items in a random order (Fisher and Yates)."""
        result = list(items)
        for i in range(len(result) - 1, 0, -1):
            j = self.below(i + 1)
            result[i], result[j] = result[j], result[i]
        return result

    def sample(self, items: Sequence[T], k: int) -> list[T]:
        """`k` different items in a random order."""
        return self.shuffled(items)[:k]
