"""Continued pretraining: from a Qwen3, a Qwen2 or a Llama that transformers made, with a vocabulary that grows."""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from model.base.errors import BadInput
from model.base.sizes import differing_sizes
from model.evaluate import evaluate
from model.export import REPORT, export
from model.inference.loading import load_export, load_trained
from model.inference.transformers_config import shape_of
from model.pretrain import pretrain
from model.sft import finetune
from tests.model.test_export import evaluate_config, export_config
from tests.model.tiny_corpus import SHAPE, TinyCorpus, write_json

transformers = pytest.importorskip("transformers")

OLD_VOCABULARY = 376
"""Tokens that the model knows before; the corpus's tokenizer has more."""


LLAMA3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
KINDS: dict[str, dict[str, Any]] = {
    "qwen3": {"model_type": "qwen3"},
    "qwen2": {"model_type": "qwen2"},
    "llama 3.1": {
        "model_type": "llama",
        "rope_parameters": LLAMA3 | {"original_max_position_embeddings": 16},
    },
}


@pytest.fixture(scope="module", params=list(KINDS.values()), ids=list(KINDS))
def theirs(request: pytest.FixtureRequest) -> Any:
    """A model of transformers after some steps."""
    torch.manual_seed(1)
    config = transformers.AutoConfig.for_model(
        **request.param,
        vocab_size=OLD_VOCABULARY,
        hidden_size=SHAPE["hidden_size"],
        intermediate_size=SHAPE["intermediate_size"],
        num_hidden_layers=SHAPE["layers"],
        num_attention_heads=SHAPE["heads"],
        num_key_value_heads=SHAPE["kv_heads"],
        head_dim=8,
        max_position_embeddings=64,
        tie_word_embeddings=False,
    )
    model = transformers.AutoModelForCausalLM.from_config(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    tokens = torch.randint(0, 20, (8, 33)).cumsum(dim=1) % OLD_VOCABULARY
    for _ in range(20):
        optimizer.zero_grad()
        model(tokens, labels=tokens).loss.backward()
        optimizer.step()
    return model.eval()


def continued_config(corpus: TinyCorpus, folder: Path, init: Path, steps: int) -> Path:
    """Writes the config of a pretraining that begins with `init`."""
    path = corpus.pretrain_config(folder, steps)
    values = json.loads(path.read_text())
    theirs = dataclasses.asdict(shape_of(json.loads((init / "config.json").read_text()), init))
    shape = theirs | {name: SHAPE[name] for name in ("vocab_size", "context")}
    return write_json(path, {**values, "init": str(init), "shape": shape})


def held_out_loss(corpus: TinyCorpus, model: Path, folder: Path) -> float:
    """The loss of a model on the corpus's held-out documents, in nats per token."""
    folder.mkdir()
    assert evaluate(evaluate_config(corpus, model, folder, questions=None)) == 0
    loss: float = json.loads((folder / "result.json").read_text())["validation"]["loss"]
    return loss


@pytest.mark.slow
@pytest.mark.parametrize("shards", ["one file", "several"])
def test_it_learns_on_from_what_the_model_knew(corpus: TinyCorpus, theirs: Any, tmp_path: Path, shards: str) -> None:
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="20KB" if shards == "several" else "5GB")
    assert (len(list((tmp_path / "theirs").glob("*.safetensors"))) > 1) == (shards == "several")
    assert pretrain(continued_config(corpus, tmp_path / "begun", tmp_path / "theirs", 1)) == 0
    assert pretrain(continued_config(corpus, tmp_path / "model", tmp_path / "theirs", 40)) == 0
    assert export(export_config(corpus, tmp_path / "model", tmp_path / "export")) == 0
    report = json.loads((tmp_path / "export" / REPORT).read_text())
    assert report["own_max_difference"] == 0 and report["transformers_max_difference"] < 1e-4
    before = held_out_loss(corpus, tmp_path / "begun", tmp_path / "before")
    after = held_out_loss(corpus, tmp_path / "model", tmp_path / "after")
    print(f"held-out loss {before:.3f} -> {after:.3f}")
    assert after < before - 0.5


def test_the_weights_are_theirs_and_new_tokens_begin_as_the_mean(
    corpus: TinyCorpus, theirs: Any, tmp_path: Path
) -> None:
    theirs.save_pretrained(tmp_path / "theirs")
    path = continued_config(corpus, tmp_path / "model", tmp_path / "theirs", 1)
    values = json.loads(path.read_text())
    write_json(path, {**values, "optimizer": {"lr_scale": 1e-12}})
    assert pretrain(path) == 0
    model = load_trained(tmp_path / "model", torch.float32)
    ids = torch.arange(30)[None]
    with torch.no_grad():
        ours, expected = model(ids), theirs(ids).logits
    torch.testing.assert_close(ours[..., :OLD_VOCABULARY], expected, atol=1e-4, rtol=0)
    for ours, old in (
        (model.embed_tokens.weight, theirs.get_input_embeddings().weight),
        (model.lm_head.weight, theirs.lm_head.weight),
    ):
        assert len(ours) == SHAPE["vocab_size"]
        torch.testing.assert_close(ours[OLD_VOCABULARY], old.mean(dim=0), atol=1e-5, rtol=0)


def test_other_sizes_are_named(corpus: TinyCorpus, theirs: Any, tmp_path: Path) -> None:
    theirs.save_pretrained(tmp_path / "theirs")
    path = corpus.pretrain_config(tmp_path / "model", 1)
    values = json.loads(path.read_text())
    write_json(
        path, {**values, "init": str(tmp_path / "theirs"), "shape": {**SHAPE, "layers": 3, "tied_embeddings": True}}
    )
    with pytest.raises(BadInput, match=r"layers is 2 there and 3 in pretrain\.shape.*; tied_embeddings is False there"):
        pretrain(path)
    shape = load_export(tmp_path / "theirs", torch.float32).shape
    assert "only 300" in differing_sizes(shape.__class__(**{**vars(shape), "vocab_size": 300}), shape)


def test_finetuning_begins_with_their_weights_and_the_chat_tokens_that_they_lack(
    corpus: TinyCorpus, theirs: Any, tmp_path: Path
) -> None:
    small = copy.deepcopy(theirs)
    small.resize_token_embeddings(300)
    small.save_pretrained(tmp_path / "theirs")
    path = corpus.sft_config(tmp_path / "chat", tmp_path / "theirs", 1)
    values = {**json.loads(path.read_text()), "optimizer": {"lr_scale": 1e-12}, "context": 32}
    with pytest.raises(BadInput, match="the model only 300"):
        finetune(write_json(path, values))
    assert finetune(write_json(path, values | {"base_digest": "of the run"})) == 0
    model = load_trained(tmp_path / "chat", torch.float32)
    assert model.shape.vocab_size > 300 and model.shape.context == 64, "the model keeps its own context"
    ids = torch.arange(30)[None]
    with torch.no_grad():
        torch.testing.assert_close(model(ids)[..., :300], theirs(ids).logits[..., :300], atol=1e-4, rtol=0)
