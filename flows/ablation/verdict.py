"""From the scores of models trained with several seeds to a verdict, which is none within the noise.

Notable:
- A seed draws a model's weights and which part of the corpus it sees, so the spread over seeds holds the noise of both.
- Two corpora of equal quality are still two samples, which seeds that see much of a corpus do not show: the variance of
  a mean is that of the corrected resampled t-test (Nadeau and Bengio 2003, section 3), here by the share that is seen.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from scipy.stats import t as student

SIGNIFICANCE = 0.03
"""The p-value below which a difference counts. For 3 seeds the test is approximate: of simulated equal corpora it calls
one better in 1 to 3% of trials, and 5% are the promise."""
OVERALL = "mean of the tasks"


@dataclass(frozen=True)
class Scores:
    """What the models of one corpus came to."""

    name: str
    by_task: Mapping[str, Sequence[float]]
    """Bits per byte by task, for each seed."""
    seen: float
    """Share of the corpus that each model was trained on, below 1."""

    @property
    def overall(self) -> list[float]:
        """The mean over the tasks, for each seed."""
        return [fmean(values) for values in zip(*self.by_task.values(), strict=True)]


@dataclass(frozen=True)
class Difference:
    """Two corpora on one task."""

    task: str
    first: float
    """Bits per byte, the mean over seeds; lower is better."""
    second: float
    noise: float
    """Standard deviation over seeds, of both together."""
    p_value: float
    """How often equal corpora differ so much."""

    @property
    def signal_to_noise(self) -> float:
        """The difference in standard deviations over seeds."""
        gap = abs(self.first - self.second)
        return gap / self.noise if self.noise else (math.inf if gap else 0.0)


@dataclass(frozen=True)
class Verdict:
    """Which corpus is better, if any is."""

    overall: Difference
    by_task: tuple[Difference, ...]
    better: str | None
    """Its name; None within the noise."""

    @property
    def words(self) -> str:
        """The verdict in a sentence."""
        gap = abs(self.overall.first - self.overall.second)
        measured = f"{gap:.4f} bits per byte, {self.overall.signal_to_noise:.1f} times the noise"
        measured += f", p = {self.overall.p_value:.3f}"
        return f"{self.better} is better: {measured}." if self.better else f"No difference beyond noise: {measured}."


def verdict(first: Scores, second: Scores) -> Verdict:
    """Return the verdict on the mean over all tasks, and the difference on each."""
    overall = _difference(OVERALL, first.overall, second.overall, first.seen, second.seen)
    tasks = tuple(
        _difference(task, values, second.by_task[task], first.seen, second.seen)
        for task, values in first.by_task.items()
    )
    better = None
    if overall.p_value < SIGNIFICANCE:
        better = first.name if overall.first < overall.second else second.name
    return Verdict(overall, tasks, better)


def _difference(
    task: str, first: Sequence[float], second: Sequence[float], first_seen: float, second_seen: float
) -> Difference:
    spreads = [variance(first), variance(second)]
    of_means = [
        spread * (1 / len(values) + seen / (1 - seen))
        for spread, values, seen in zip(spreads, (first, second), (first_seen, second_seen), strict=True)
    ]
    gap, total = abs(fmean(first) - fmean(second)), sum(of_means)
    if total:
        freedom = total**2 / sum(
            own**2 / (len(values) - 1) for own, values in zip(of_means, (first, second), strict=True)
        )
        p_value = float(2 * student.sf(gap / math.sqrt(total), freedom))
    else:
        p_value = 0.0 if gap else 1.0
    return Difference(task, fmean(first), fmean(second), math.sqrt(fmean(spreads)), p_value)
