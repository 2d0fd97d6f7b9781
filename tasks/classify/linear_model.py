"""A linear classifier of texts: a weight for each bucket of hashed n-grams, saved as safetensors.

Notable:
- A text's score is the logistic function of the mean weight of its n-grams. fastText's supervised model with two labels
  is the same kind of function: its hidden layer only writes each weight as a product.
- A model file is validated before any of its numbers is used, and nothing is unpickled.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tasks.base.errors import PermanentError
from tasks.classify.hashed_ngrams import HashedTexts, hashed_texts
from tasks.extract.content.logistic import logistic

Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]

MAX_NGRAM = 5
MIN_BUCKET_BITS, MAX_BUCKET_BITS = 8, 26
MAX_CHARS = 1_000_000
_FORMAT = 1
_TENSORS = {"settings", "weights"}


@dataclass(frozen=True)
class LinearModel:
    """The learnt weights, and how texts must be counted for them."""

    weights: Float32s
    """[2**bits]"""
    ngrams: int
    """N-grams of 1 to this many words are counted."""
    max_chars: int
    """Code points of a text that count, its first ones."""

    @property
    def bits(self) -> int:
        """How many bits of an n-gram's hash name its bucket."""
        return len(self.weights).bit_length() - 1

    def mean_weights(self, texts: HashedTexts) -> Float64s:
        """Return the mean weight of each text's n-grams, 0 of a text without words, [texts]."""
        if not len(texts.words):
            return np.zeros(len(texts.first) - 1)
        total = self.weights.take(texts.buckets(1, self.bits), mode="clip")
        for order in range(2, self.ngrams + 1):
            found = self.weights.take(texts.buckets(order, self.bits), mode="clip")
            found[texts.crossing(order)] = 0
            total[: len(found)] += found
        means = np.zeros(len(texts.first) - 1)
        filled = np.flatnonzero(np.diff(texts.first))  # `reduceat` has no empty stretches
        sums = np.add.reduceat(total, texts.first[filled]).astype(np.float64)
        means[filled] = sums / texts.counts(self.ngrams)[filled]
        return means


def score_texts(models: Sequence[LinearModel], texts: pa.Array | pa.ChunkedArray) -> list[Float32s]:
    """Return the score (0 to 1) of each text under each of `models`; models that read texts alike share the hashing."""
    scores: list[Float32s] = [np.empty(0, np.float32)] * len(models)
    for max_chars in {model.max_chars for model in models}:
        places = [place for place, model in enumerate(models) if model.max_chars == max_chars]
        found: list[list[Float64s]] = [[] for _ in places]
        for block in hashed_texts(texts, max_chars):
            for means, place in zip(found, places, strict=True):
                means.append(models[place].mean_weights(block))
        for means, place in zip(found, places, strict=True):
            scores[place] = logistic(np.concatenate([np.zeros(0), *means])).astype(np.float32)
    return scores


def model_bytes(model: LinearModel) -> bytes:
    """Return the model as a safetensors file: `weights`, and `settings` = format, ngrams, max_chars."""
    settings = np.array([_FORMAT, model.ngrams, model.max_chars], np.int64)
    return save({"settings": settings, "weights": np.ascontiguousarray(model.weights, np.float32)})


def read_model(data: bytes, origin: str) -> LinearModel:
    """Return the model in a file's content. Raises `PermanentError` that names `origin` where it is not one."""
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _no_model(origin, f"it is not a safetensors file ({error})") from error
    if set(tensors) != _TENSORS:
        raise _no_model(origin, f"it holds {sorted(tensors)[:8]}, not {sorted(_TENSORS)}")
    settings, weights = tensors["settings"], tensors["weights"]
    if settings.dtype != np.int64 or settings.shape != (3,) or settings[0] != _FORMAT:
        raise _no_model(origin, f"its settings are not those of format {_FORMAT}")
    _, ngrams, max_chars = (int(value) for value in settings)
    if not (1 <= ngrams <= MAX_NGRAM and 1 <= max_chars <= MAX_CHARS):
        raise _no_model(origin, f"its settings are out of range: ngrams {ngrams}, max_chars {max_chars}")
    sizes = [1 << bits for bits in range(MIN_BUCKET_BITS, MAX_BUCKET_BITS + 1)]
    if weights.dtype != np.float32 or weights.ndim != 1 or len(weights) not in sizes:
        raise _no_model(origin, f"its weights are {weights.dtype} {list(weights.shape)}, not float32 [2**bits]")
    if not np.isfinite(weights).all():
        raise _no_model(origin, "its weights are not all finite numbers")
    return LinearModel(weights, ngrams, max_chars)


def _no_model(origin: str, why: str) -> PermanentError:
    return PermanentError(f"{origin} is not a classifier: {why}. Remove it and run again to train it anew.")
