"""The linear model: scores of a batch are those of its texts, files are checked before they are believed."""

import json
import math
import pickle
import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from tasks.base.errors import PermanentError
from tasks.classify.linear_model import LinearModel, model_bytes, read_model, score_texts
from tasks.extract.content.logistic import logistic


def random_model(ngrams: int = 2, bits: int = 12, max_chars: int = 50) -> LinearModel:
    weights = np.random.default_rng(7).standard_normal(1 << bits).astype(np.float32)
    return LinearModel(weights, ngrams, max_chars)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=80), max_size=8), st.integers(1, 5))
def test_a_batch_is_scored_as_its_texts_alone(texts: list[str], ngrams: int) -> None:
    model = random_model(ngrams)
    (together,) = score_texts([model], pa.array(texts, pa.string()))
    alone = [score_texts([model], pa.array([text]))[0][0] for text in texts]
    assert together.dtype == np.float32 and together.tolist() == alone


def test_a_score_is_the_logistic_of_the_mean_weight() -> None:
    weights = np.zeros(1 << 10, np.float32)
    weights[:] = 3.0
    (scores,) = score_texts([LinearModel(weights, 3, 100)], pa.array(["one", "one two three four", "", "…"]))
    assert scores[:2].tolist() == [np.float32(1 / (1 + math.exp(-3)))] * 2
    assert scores[2] == 0.5, "a text without words speaks for neither side"


def test_several_models_score_at_once_as_one_by_one() -> None:
    models = [random_model(1), random_model(2, bits=9), random_model(2, max_chars=10)]
    texts = pa.array(["a short text", "une forêt — et l'été", "漢字" * 40])
    together = score_texts(models, texts)
    for model, scores in zip(models, together, strict=True):
        assert scores.tolist() == score_texts([model], texts)[0].tolist()


def test_a_huge_document_costs_only_its_first_characters() -> None:
    huge = "word " * 2_000_000
    first, cut = score_texts([random_model()], pa.array([huge, huge[:50]]))[0]
    assert first == cut


def test_no_texts_no_scores() -> None:
    for empty in (pa.array([], pa.string()), pa.chunked_array([], pa.string())):
        assert score_texts([random_model()], empty)[0].tolist() == []


@given(st.floats(-800, 800))
def test_the_logistic_function_is_exact_to_the_last_digits(value: float) -> None:
    assert logistic(np.array([value]))[0] == pytest.approx(1 / (1 + math.exp(-max(value, -700))), rel=1e-14)


def test_a_model_survives_its_file() -> None:
    model = random_model()
    data = model_bytes(model)
    again = read_model(data, "here")
    assert (again.ngrams, again.max_chars, again.bits) == (2, 50, 12)
    assert again.weights.tobytes() == model.weights.tobytes()
    assert model_bytes(again) == data


def _header(tensors: dict[str, object], size: int = 0) -> bytes:
    head = json.dumps(tensors).encode()
    return struct.pack("<Q", len(head)) + head + bytes(size)


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('unpickled')",)


SETTINGS = np.array([1, 2, 50])
WEIGHTS = np.zeros(256, np.float32)
HUGE = {"dtype": "F32", "shape": [1 << 60], "data_offsets": [0, 1 << 62]}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a safetensors file"),
        (b"\xff" * 64, "not a safetensors file"),
        (pickle.dumps(_Evil()), "not a safetensors file"),
        (_header({"weights": HUGE, "settings": HUGE}), "not a safetensors file"),
        (model_bytes(random_model())[:-5], "not a safetensors file"),
        (save({"weights": WEIGHTS}), "it holds"),
        (save({"weights": WEIGHTS, "settings": SETTINGS, "code": WEIGHTS}), "it holds"),
        (save({"weights": WEIGHTS, "settings": np.array([9, 2, 50])}), "format 1"),
        (save({"weights": WEIGHTS, "settings": np.array([1.0, 2, 50])}), "format 1"),
        (save({"weights": WEIGHTS, "settings": np.array([1, 99, 50])}), "out of range"),
        (save({"weights": WEIGHTS, "settings": np.array([1, 2, 1 << 40])}), "out of range"),
        (save({"weights": WEIGHTS[:200], "settings": SETTINGS}), "its weights are"),
        (save({"weights": WEIGHTS.reshape(16, 16), "settings": SETTINGS}), "its weights are"),
        (save({"weights": WEIGHTS.astype(np.float64), "settings": SETTINGS}), "its weights are"),
        (save({"weights": np.full(256, np.nan, np.float32), "settings": SETTINGS}), "finite"),
    ],
)
def test_a_file_that_is_no_model_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(PermanentError, match=said) as raised:
        read_model(data, "the file x.safetensors")
    assert "the file x.safetensors" in str(raised.value)
