"""Where no questions are asked, the pretrained model goes on with held-out documents."""

import json
from pathlib import Path

import pytest

from model.data.chat_format import load_chat_format
from model.evaluate import evaluate
from model.pretrain import pretrain
from tests.model.tiny_corpus import TinyCorpus, write_json


@pytest.fixture(scope="module")
def base(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has seen a little of the tiny corpus."""
    root = tmp_path_factory.mktemp("samples")
    assert pretrain(corpus.pretrain_config(root / "base", 4)) == 0
    return root / "base"


def result(corpus: TinyCorpus, folder: Path, model: Path, **more: object) -> dict[str, object]:
    values = {"model": str(model), "result": str(folder / "result.json"), "tokenizer": str(corpus.tokenizer)}
    values |= {"tokens": str(corpus.tokens), "cache": str(folder / "cache")}
    assert evaluate(write_json(folder / "evaluate.json", values | more | {"max_new_tokens": 8})) == 0
    read: dict[str, object] = json.loads((folder / "result.json").read_text())
    return read


def test_the_model_goes_on_with_held_out_documents(corpus: TinyCorpus, base: Path, tmp_path: Path) -> None:
    samples = result(corpus, tmp_path, base, earlier=[{"stage": "pretrain", "model": str(base)}])["samples"]
    assert isinstance(samples, list) and 1 <= len(samples) <= 3
    chat = load_chat_format(corpus.tokenizer)
    for sample in samples:
        assert sample["prompt"] and len(chat.encode(sample["prompt"])) <= 16
        assert len(sample["text"]) < 60, "of 8 tokens"
    assert samples == result(corpus, tmp_path, base)["samples"], "the same draws, whoever writes"
