"""A pattern search over learning rates (Hooke and Jeeves 1961, "Direct search"): which rates to try next.

Notable: a round asks for all its losses at once, so its trainings can run side by side. Learning rates of different
kinds of parameter hardly interact (docs/log.md), so the moves that help alone are then made together.
"""

from collections.abc import Callable, Mapping, Sequence

from flows.recipe.trial_config import TuneConfig

Rates = Mapping[str, float]
Losses = Callable[[Sequence[Rates]], Sequence[float]]
"""Returns the held-out loss of each choice of rates; infinite where training diverged."""


def search_rates(start: Rates, config: TuneConfig, losses: Losses) -> Rates:
    """Return the best rates found: a rate differs from `start` only where its moves paid `config.least_gain` each."""
    best = dict(start)
    for _ in range(config.rounds):
        moves = [{name: best[name] * by} for name in config.rates for by in (1 / config.factor, config.factor)]
        here, *there = losses([best, *(best | move for move in moves)])
        paying = sorted(
            ((loss, move) for loss, move in zip(there, moves, strict=True) if here - loss >= config.least_gain),
            key=lambda each: each[0],
        )
        if not paying:
            break
        together: dict[str, float] = {}
        for _, move in paying:
            together = move | together  # of both ways of a rate, the better one
        alone = best | paying[0][1]
        (loss_together,) = losses([best | together])
        best = best | together if loss_together <= paying[0][0] else alone
    return best
