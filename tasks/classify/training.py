"""What a recipe says of a classifier, and its training: logistic regression on hashed n-grams, one text at a time.

Notable:
- Adagrad: each weight's step is divided by the root of its squared gradients so far, so rare n-grams learn as fast as
  frequent ones, whatever the length of the texts. One learning rate serves all sets.
- Both sides weigh the same, however many texts each has: 0.5 is the score of a text that is like neither.
- The same texts give the same bytes: one thread, a fixed order, exactly rounded operations.
"""

from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from tasks.base.config import Config
from tasks.base.errors import PermanentError
from tasks.base.hashing import hash_strings, mix64
from tasks.classify.hashed_ngrams import HashedTexts, UInt32s, hashed_texts
from tasks.classify.linear_model import (
    MAX_BUCKET_BITS,
    MAX_CHARS,
    MAX_NGRAM,
    MIN_BUCKET_BITS,
    Float64s,
    LinearModel,
    score_texts,
)
from tasks.dataset.data_files import DataFile
from tasks.extract.content.logistic import logistic

LEARNING_RATE = 2.0
"""Chosen by held-out AUC on three tasks of real pages; 1 to 4 do nearly as well (docs/log.md)."""
TEXTS_PER_BLOCK = 256
"""Texts that are hashed at a time in training."""
SET_SUFFIXES = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz", ".parquet")


class TrainingConfig(Config):
    """What a classifier learns from, and how."""

    positive: tuple[DataFile, ...] = Field(min_length=1)
    """Files of texts that should score high: .jsonl or .parquet with a field of text, .txt with a text a line; .jsonl
    and .txt also with .gz."""
    negative: tuple[DataFile, ...] = ()
    """Files of texts that should score low."""
    negatives_from_corpus: int = Field(default=0, ge=0, le=1_000_000)
    """How many of this crawl's own documents that passed the filter are taken as negatives too, a seeded sample."""
    text_field: str = "text"
    """The field, or column, of the files that holds the text."""
    max_documents: int = Field(default=100_000, ge=1, le=1_000_000)
    """Texts taken of each side's files, a seeded sample where there are more. They are held in memory."""
    max_chars: int = Field(default=10_000, ge=1, le=MAX_CHARS)
    """Code points of a text that count, its first ones; in training and in scoring."""
    ngrams: int = Field(default=2, ge=1, le=MAX_NGRAM)
    """N-grams of 1 to this many words are counted."""
    bucket_bits: int = Field(default=21, ge=MIN_BUCKET_BITS, le=MAX_BUCKET_BITS)
    """N-grams are hashed into 2 to the power of this many weights."""
    epochs: int = Field(default=3, ge=1, le=1000)
    """How often training sees each text."""
    held_out: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Share of each side's texts that is held out of training, to test the result."""
    seed: int = Field(default=1, ge=0, lt=1 << 63)
    """Seed of the samples, of what is held out and of the order of training."""

    @model_validator(mode="after")
    def _has_two_sides(self) -> Self:
        if not self.negative and not self.negatives_from_corpus:
            raise ValueError("a classifier needs negatives too: give `negative` files or `negatives_from_corpus`")
        for file in (*self.positive, *self.negative):
            if not file.endswith(SET_SUFFIXES):
                raise ValueError(f"{file}: a training set is a file that ends in one of {', '.join(SET_SUFFIXES)}")
        return self


class ScoreRuleConfig(Config):
    """What a document's score decides: exactly one of these is given."""

    min_score: float | None = Field(default=None, ge=0.0, le=1.0)
    """Documents that score less are removed."""
    max_score: float | None = Field(default=None, ge=0.0, le=1.0)
    """Documents that score more are removed."""
    keep_top: float | None = Field(default=None, gt=0.0, le=1.0)
    """Share of the documents without duplicates, over the whole crawl, that is kept: those with the highest scores."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [name for name in ScoreRuleConfig.model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"give exactly one of min_score, max_score and keep_top, not {found}")
        return self


class ClassifierConfig(TrainingConfig, ScoreRuleConfig):
    """A classifier that the run trains from examples, and what its scores decide."""


class Metrics(Config):
    """The texts that a classifier learnt from, and how well it does on those held out."""

    positives: int
    """Texts of this side, without those held out."""
    negatives: int
    held_out_positives: int
    held_out_negatives: int
    right: int
    """Held-out texts on the right side of 0.5."""
    auc: float | None
    """Chance that a held-out positive scores above a held-out negative, ties counting half; None where a side has
    none."""


class Trained(NamedTuple):
    """A classifier and how good it is."""

    model: LinearModel
    metrics: Metrics


def train_classifier(positives: list[str], negatives: list[str], config: TrainingConfig, name: str) -> Trained:
    """Train on each side's texts, less a seeded sample that is held out; the order of the texts does not matter.

    Raises `PermanentError` where a side has no text to learn from.
    """
    sides = []
    for side, unordered in (("negative", negatives), ("positive", positives)):
        texts = _shuffled(unordered, config.seed)
        held = round(config.held_out * len(texts))
        if held >= len(texts):
            raise PermanentError(
                f"classifiers.{name}: {len(texts)} {side} texts, of which {held} are held out, leave none to learn "
                f"from: add texts, or lower classifiers.{name}.held_out."
            )
        sides.append((texts[:held], texts[held:]))
    (held_negatives, learnt_negatives), (held_positives, learnt_positives) = sides
    model = _trained_model([*learnt_negatives, *learnt_positives], len(learnt_negatives), config)
    (low,) = score_texts([model], pa.array(held_negatives, pa.large_string()))
    (high,) = score_texts([model], pa.array(held_positives, pa.large_string()))
    metrics = Metrics(
        positives=len(learnt_positives),
        negatives=len(learnt_negatives),
        held_out_positives=len(high),
        held_out_negatives=len(low),
        right=int((low < 0.5).sum() + (high >= 0.5).sum()),
        auc=area_under_curve(high, low),
    )
    return Trained(model, metrics)


def area_under_curve(high: npt.NDArray[np.floating], low: npt.NDArray[np.floating]) -> float | None:
    """Return how often a score in `high` [n] is above one in `low` [m], ties counting half; None if either is empty."""
    if not len(high) or not len(low):
        return None
    ordered = np.sort(low)
    below = np.searchsorted(ordered, high, "left").sum() + np.searchsorted(ordered, high, "right").sum()
    return float(below / (2 * len(high) * len(low)))


def _shuffled(texts: list[str], seed: int) -> list[str]:
    """Return the texts in an order that hashes decide; not the one by which a sample of them may have been drawn."""
    keys = mix64(hash_strings(texts), seed + 1)
    return [texts[place] for place in np.argsort(keys, kind="stable")]


def _trained_model(texts: list[str], negatives: int, config: TrainingConfig) -> LinearModel:
    """Weights learnt from `texts`, of which the first `negatives` are negative."""
    labels = np.arange(len(texts)) >= negatives
    weights = np.zeros(1 << config.bucket_bits)
    squares = np.zeros(1 << config.bucket_bits)
    importance = np.where(labels, len(labels) / (2 * labels.sum()), len(labels) / (2 * (~labels).sum()))
    for epoch in range(config.epochs):
        order = np.argsort(mix64(np.arange(len(texts)), config.seed + epoch), kind="stable")
        for start in range(0, len(order), TEXTS_PER_BLOCK):
            block = order[start : start + TEXTS_PER_BLOCK]
            learnt = iter(zip(labels[block].tolist(), importance[block].tolist(), strict=True))
            for hashed in hashed_texts(pa.array([texts[place] for place in block]), config.max_chars):
                for buckets in _buckets_by_text(hashed, config):
                    _learn(weights, squares, buckets, *next(learnt))
    return LinearModel(weights.astype(np.float32), config.ngrams, config.max_chars)


def _buckets_by_text(texts: HashedTexts, config: TrainingConfig) -> list[UInt32s]:
    """Return the bucket of each n-gram of each text."""
    orders = range(1, config.ngrams + 1)
    buckets = [texts.buckets(order, config.bucket_bits) for order in orders]
    return [
        np.concatenate([buckets[order - 1][start : max(end - order + 1, start)] for order in orders])
        for start, end in pairwise(texts.first.tolist())
    ]


def _learn(weights: Float64s, squares: Float64s, buckets: UInt32s, label: bool, importance: float) -> None:
    """One step of Adagrad on one text; `weights` and `squares` (the squared gradients so far) change in place."""
    if not len(buckets):
        return
    distinct, counts = np.unique(buckets, return_counts=True)
    before = weights[distinct]
    score = logistic(np.array((before * counts).sum() / len(buckets)))
    gradients = counts * (importance * (float(score) - label) / len(buckets))
    sums = squares[distinct] + gradients * gradients
    squares[distinct] = sums
    weights[distinct] = before - LEARNING_RATE * gradients / np.sqrt(np.maximum(sums, np.finfo(np.float64).tiny))
