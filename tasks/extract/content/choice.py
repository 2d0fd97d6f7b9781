"""Choose the runs that are a page's main content, and say how good the choice is likely to be.

Notable: with the probability that each run is content, the F1 of any choice can be estimated: twice the content in it
over all that is chosen and all that is content. The best choice takes the likeliest runs down to a limit of its own on
each page, where that estimate is highest; the estimate is the score.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.extract.content.words import Floats, Ints


@dataclass(frozen=True, slots=True)
class Choice:
    """Runs of a page."""

    is_kept: npt.NDArray[np.bool_]
    """[runs]"""
    score: float
    """The expected F1 of their words, 0 to 1."""


def choose(probabilities: Floats, n_words: Ints) -> Choice:
    """Return the runs with the highest expected F1; all runs of a probability are kept or none."""
    order = np.argsort(-probabilities, kind="stable")
    content = np.cumsum((probabilities * n_words)[order])
    chosen = np.cumsum(n_words[order])
    expected = 2 * content / np.maximum(chosen + content[-1], 1)
    best = int(np.argmax(expected))
    return Choice(probabilities >= probabilities[order[best]], float(expected[best]))
