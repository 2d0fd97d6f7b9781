"""Two or more ways to do the same work, measured in turn, so that what else the machine does falls on all alike.

Notable: only ratios leave this module. Seconds of one machine say nothing on another, nor on the same one tomorrow.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import median


def rates_in_turn(workers: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """The rate that each worker returns, `rounds` times: A B C, C B A, A B C, and so on."""
    rates: dict[str, list[float]] = {name: [] for name in workers}
    for number in range(rounds):
        for name in list(workers)[:: 1 if number % 2 == 0 else -1]:
            rates[name].append(workers[name]())
    return rates


def median_ratio(above: list[float], below: list[float]) -> float:
    """The median over the rounds of one worker's rate over another's."""
    return median(one / other for one, other in zip(above, below, strict=True))


def median_rate(times: Sequence[float], amount: float) -> float:
    """The rate of the median step of `amount`: a step that the machine held up counts as one. `times` in seconds."""
    return amount / median(after - before for before, after in pairwise(times))


def show(title: str, ratios: Mapping[str, float]) -> None:
    """Print ratios, one a line, under a title."""
    print(f"\n{title}")
    for name, ratio in ratios.items():
        print(f"  {name:<66} {ratio:9.3f}")
