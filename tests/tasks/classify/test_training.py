"""Training: what is separable is learnt, the same texts give the same bytes, and bad recipes say what to do."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from tasks.base.errors import PermanentError
from tasks.classify.linear_model import model_bytes, score_texts
from tasks.classify.training import (
    ClassifierConfig,
    TrainingConfig,
    area_under_curve,
    train_classifier,
)

SETS: dict[str, Any] = {"positive": ["a.txt"], "negative": ["b.txt"]}
CONFIG = TrainingConfig(**SETS, bucket_bits=16)


def toy_texts(words: str, count: int, seed: int) -> list[str]:
    """Texts of common words, with a few of `words` among them."""
    draws = random.Random(seed)
    common = ["the", "of", "and", "to", "in", "is", "was", "for", "on", "with", "as", "by", "at", "from", "it"]
    texts = []
    for _ in range(count):
        text = draws.choices(common, k=60) + draws.choices(words.split(), k=4)
        draws.shuffle(text)
        texts.append(" ".join(text))
    return texts


HIGH = toy_texts("river valley glacier geology sediment", 80, 1)
LOW = toy_texts("casino bonus jackpot discount subscribe", 80, 2)


def test_a_toy_is_learnt() -> None:
    trained = train_classifier(HIGH, LOW, CONFIG, "toy")
    assert trained.metrics.model_dump() == {
        "positives": 72,
        "negatives": 72,
        "held_out_positives": 8,
        "held_out_negatives": 8,
        "right": 16,
        "auc": 1.0,
    }
    unseen = pa.array(["the sediment of the glacier", "the bonus of the casino", "xyzzy"])
    high, low, unknown = score_texts([trained.model], unseen)[0]
    assert high > 0.9 and low < 0.1 and unknown == 0.5


def test_bigrams_learn_what_words_cannot() -> None:
    """Both sides have the same words; only their order differs."""
    draws = random.Random(3)
    high = [" ".join(draws.choice(["not bad", "very good"]) for _ in range(30)) for _ in range(50)]
    low = [" ".join(draws.choice(["not good", "very bad"]) for _ in range(30)) for _ in range(50)]
    words = train_classifier(high, low, CONFIG.model_copy(update={"ngrams": 1}), "order")
    pairs = train_classifier(high, low, CONFIG, "order")
    assert words.metrics.right <= 8 and pairs.metrics.right == 10


def test_the_same_texts_in_any_order_give_the_same_bytes() -> None:
    first = model_bytes(train_classifier(HIGH, LOW, CONFIG, "toy").model)
    assert model_bytes(train_classifier(HIGH[::-1], LOW[3:] + LOW[:3], CONFIG, "toy").model) == first
    reseeded = CONFIG.model_copy(update={"seed": 2})
    assert model_bytes(train_classifier(HIGH, LOW, reseeded, "toy").model) != first


def test_a_small_side_counts_as_much_as_a_large_one() -> None:
    trained = train_classifier(HIGH[:20], LOW[:60], CONFIG.model_copy(update={"held_out": 0.0}), "toy")
    (scores,) = score_texts([trained.model], pa.array(HIGH[60:] + LOW[60:]))
    assert scores[:20].mean() > 0.5 > scores[20:].mean()
    assert scores[:20].mean() + scores[20:].mean() == pytest.approx(1, abs=0.15)
    assert trained.metrics.auc is None


def test_texts_without_words_teach_nothing_and_break_nothing() -> None:
    plain = train_classifier(HIGH, LOW, CONFIG.model_copy(update={"held_out": 0.0}), "toy")
    trained = train_classifier(["", "\x00", *HIGH], LOW, CONFIG.model_copy(update={"held_out": 0.0}), "toy")
    assert np.isfinite(trained.model.weights).all()
    assert trained.metrics.positives == plain.metrics.positives + 2


@pytest.mark.parametrize(("high", "low", "side"), [([], LOW, "0 positive"), (HIGH, [], "0 negative")])
def test_a_side_without_texts_is_an_error(high: list[str], low: list[str], side: str) -> None:
    with pytest.raises(PermanentError, match=rf"classifiers\.toy: {side} texts"):
        train_classifier(high, low, CONFIG, "toy")


def test_the_area_under_the_curve_counts_pairs() -> None:
    draws = np.random.default_rng(1)
    high, low = draws.integers(0, 6, 40) / 5, draws.integers(0, 5, 30) / 5
    pairs = [1.0 if h > l else 0.5 if h == l else 0.0 for h in high for l in low]  # noqa: E741
    assert area_under_curve(high, low) == pytest.approx(np.mean(pairs))
    assert area_under_curve(high, low[:0]) is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "exactly one of min_score, max_score and keep_top, not none"),
        ({"min_score": 0.1, "keep_top": 0.1}, "not min_score and keep_top"),
        ({"keep_top": 0.0}, "greater than 0"),
        ({"keep_top": 0.1, "positive": []}, "at least 1 item"),
        ({"keep_top": 0.1, "positive": ["a.csv"]}, "a.csv: a training set is a file that ends in"),
        ({"keep_top": 0.1, "negative": []}, "needs negatives too"),
        ({"keep_top": 0.1, "buckets": 3}, "Extra inputs"),
    ],
)
def test_a_wrong_section_says_what_is_wrong(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ClassifierConfig.model_validate(SETS | fields)
