"""The verdict: a better corpus is found, and of two equal ones neither is called better in 95 of 100 trials."""

import numpy as np
import pytest

from flows.ablation.verdict import Scores, verdict

DOCUMENTS = 400


def trial(draws: np.random.Generator, gain: float, seen: float, seeds: int, weights_noise: float) -> str | None:
    """Two corpora whose documents teach more or less; a model's score is what those that it saw taught, and chance."""

    def scores(name: str, shift: float) -> Scores:
        corpus = draws.normal(1.0 - shift, 1.0, DOCUMENTS)
        parts = [draws.choice(corpus, int(seen * DOCUMENTS), replace=False).mean() for _ in range(seeds)]
        return Scores(name, {"facts": [part + draws.normal(0, weights_noise) for part in parts]}, seen)

    return verdict(scores("A", 0.0), scores("B", gain)).better


@pytest.mark.parametrize("seen", [0.1, 0.5])
@pytest.mark.parametrize("weights_noise", [0.0, 0.05])
@pytest.mark.parametrize("seeds", [3, 5])
def test_equal_corpora_are_called_equal(seen: float, weights_noise: float, seeds: int) -> None:
    draws = np.random.default_rng(2)
    found = [trial(draws, 0.0, seen, seeds, weights_noise) for _ in range(400)]
    assert found.count(None) >= 0.95 * len(found)


def test_the_better_corpus_is_found() -> None:
    draws = np.random.default_rng(3)
    found = [trial(draws, 0.8, 0.25, 3, 0.02) for _ in range(400)]
    assert found.count("B") > 0.9 * len(found) and "A" not in found


def test_the_same_corpus_twice_is_no_difference() -> None:
    scores = Scores("A", {"one": [1.0, 1.1, 1.2], "two": [2.0, 2.0, 2.1]}, 0.25)
    same = verdict(scores, Scores("B", scores.by_task, 0.25))
    assert same.better is None and same.overall.p_value == 1 and same.words.startswith("No difference beyond noise")
    assert [difference.task for difference in same.by_task] == ["one", "two"]
    better = verdict(scores, Scores("B", {"one": [0.5, 0.51, 0.52], "two": [1.0, 1.0, 1.01]}, 0.25))
    assert better.better == "B" and better.overall.signal_to_noise > 5 and better.words.startswith("B is better")
