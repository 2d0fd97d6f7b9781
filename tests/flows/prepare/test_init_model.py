"""The model that pretraining begins with: pinned by its content, and its sizes compared before any work."""

from pathlib import Path

import pytest

from flows.ladder import require_decoder
from flows.prepare.init_model import pin_init
from flows.recipe.loading import validated
from flows.recipe.recipe import Recipe
from flows.recipe.recipe_file import RecipeError
from tasks.base.errors import UsageError
from tasks.dataset.store import Store

transformers = pytest.importorskip("transformers")

SHAPE = {
    "layers": 1,
    "hidden_size": 16,
    "heads": 2,
    "kv_heads": 1,
    "intermediate_size": 32,
    "tied_embeddings": True,
}


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A Qwen3 of these sizes that transformers saved in several files."""
    return saved("qwen3", tmp_path / "theirs")


def saved(kind: str, folder: Path) -> Path:
    """A model that transformers saved in several files."""
    config = transformers.AutoConfig.for_model(
        kind,
        vocab_size=400,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=64,
        tie_word_embeddings=True,
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder, max_shard_size="10KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    return folder


def recipe_from(init: str, **changes: object) -> Recipe:
    pretrain = {"shape": SHAPE, "loop": {"steps": 1, "global_batch_size": 1}, "init": init, **changes}
    return validated({"name": "on", "tokenizer": {"vocab_size": 410}, "pretrain": pretrain}, "here")


def test_another_models_weights_are_another_fingerprint(theirs: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    first = pin_init(recipe_from(str(theirs)), store).pretrain
    assert first and first.init_digest
    shard = min(theirs.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"\1")
    changed = pin_init(recipe_from(str(theirs)), store).pretrain
    assert changed and changed.init_digest != first.init_digest
    with pytest.raises(UsageError, match="it was changed or trained on since"):
        pin_init(recipe_from(str(theirs), init_digest=first.init_digest), store)


def test_what_training_cannot_begin_with_is_told_before_any_work(theirs: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    larger = {"shape": {**SHAPE, "hidden_size": 32, "head_dim": 8}}
    with pytest.raises(UsageError, match=r"other sizes: hidden_size is 16 there and 32 in pretrain\.shape"):
        pin_init(recipe_from(str(theirs), **larger), store)
    with pytest.raises(UsageError, match=r"neither \.safetensors nor checkpoints"):
        pin_init(recipe_from("models/gone"), store)
    llama = recipe_from(str(saved("llama", tmp_path / "llama")))
    with pytest.raises(UsageError, match=r"head_norms is False there and True in pretrain\.shape"):
        pin_init(llama, store)
    (theirs / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(UsageError, match="model type gpt2; only qwen3, qwen2, llama, mistral can be read"):
        pin_init(recipe_from(str(theirs)), store)
    with pytest.raises(RecipeError, match="init needs the objective causal"):
        recipe_from(str(theirs), objective="masked")
    with pytest.raises(UsageError, match=r"set pretrain\.init to null"):
        require_decoder(recipe_from("models/one"))
