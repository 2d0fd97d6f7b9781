"""The model that training begins with: pinned by its content, and its sizes compared before any work."""

from pathlib import Path

import pytest

from flows.prepare.init_model import pin_init
from flows.prepare.required_sections import require_decoder
from flows.recipe.loading import load_recipe, validated
from flows.recipe.recipe import Recipe
from flows.recipe.recipe_file import RecipeError
from flows.stages.plan import plan_stages
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


def test_sizes_that_a_recipe_leaves_out_are_those_of_the_model(tmp_path: Path) -> None:
    saved("qwen2", tmp_path / "qwen2")
    (tmp_path / "r.yaml").write_text(
        "{name: more, tokenizer: {vocab_size: 410}, packing: {context: 32},"
        " pretrain: {init: qwen2, loop: {steps: 1, global_batch_size: 1}}}"
    )
    pretrain = load_recipe(str(tmp_path / "r.yaml")).pretrain
    assert pretrain
    shape = pretrain.shape
    assert (shape.layers, shape.hidden_size, shape.kv_heads, shape.attention_bias) == (1, 16, 1, "qkv")
    assert (shape.vocab_size, shape.context) == (410, 32), "the tokenizer's and the packing's, which may differ"
    assert pin_init(load_recipe(str(tmp_path / "r.yaml")), Store(str(tmp_path / "store")))
    (tmp_path / "qwen2" / "config.json").write_text("{}")
    with pytest.raises(RecipeError, match=r"pretrain\.init: .* model type None"):
        load_recipe(str(tmp_path / "r.yaml"))


def finetuning(base: str, **changes: object) -> Recipe:
    sft = {"base": base, "loop": {"steps": 1, "global_batch_size": 1}, **changes}
    tokenizer = {"path": f"{base}/tokenizer.json", "vocab_size": 410}
    return validated({"name": "on", "tokenizer": tokenizer, "sft": sft}, "here")


def test_finetuning_anothers_model_crawls_nothing_unless_a_corpus_is_needed(theirs: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    pinned = pin_init(finetuning(str(theirs)), store)
    assert pinned.sft and pinned.sft.base_digest and pinned.sft.context == 64, "the model's whole context"
    plans = plan_stages(pinned, "latest", {})
    assert list(plans) == ["tokenizer", "sft", "evaluate", "export"]
    assert plans["sft"].upstream.keys() == {"tokenizer"}
    rl = {"prompts": "p.jsonl", "rewards": {"exact": 1.0}, "loop": {"steps": 1, "global_batch_size": 8}}
    further = validated(finetuning(str(theirs)).model_dump() | {"rl": rl}, "here")
    assert list(plan_stages(pin_init(further, store), "latest", {})) == ["tokenizer", "sft", "rl", "evaluate", "export"]
    recalling = validated(finetuning(str(theirs)).model_dump() | {"rl": rl | {"replay": 1.0}}, "here")
    assert "tokens" in plan_stages(pin_init(recalling, store), "latest", {})["rl"].upstream
    replaying = plan_stages(pin_init(finetuning(str(theirs), replay=1.0), store), "latest", {})
    assert {"corpus", "tokens"} <= replaying.keys() and "tokens" in replaying["sft"].upstream
    moved = theirs.rename(tmp_path / "moved")
    again = plan_stages(pin_init(finetuning(str(moved)), store), "latest", {})
    assert again["sft"].config == plans["sft"].config, "its weights count, not its place"


def test_a_base_that_cannot_be_finetuned_is_told_before_any_work(theirs: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    with pytest.raises(UsageError, match=r"sft\.context is 65, and the model in sft\.base takes 64"):
        pin_init(finetuning(str(theirs), context=65), store)
    with pytest.raises(UsageError, match=r"sft\.base: models/gone holds no model"):
        pin_init(finetuning("models/gone"), store)
    with pytest.raises(RecipeError, match=r"sft\.base needs tokenizer\.path"):
        validated(finetuning(str(theirs)).model_dump() | {"tokenizer": {"vocab_size": 410}}, "here")
    pretrain = {"pretrain": {"shape": SHAPE, "loop": {"steps": 1, "global_batch_size": 1}}}
    with pytest.raises(RecipeError, match=r"sft\.base takes the place of pretraining"):
        validated(finetuning(str(theirs)).model_dump() | pretrain, "here")
