"""Folders of other makers, as transformers writes them: the engine's logits and tokens are transformers', and those of
the model that is trained."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from model.base.errors import BadInput
from model.inference.decoders.decoder import Rows
from model.inference.engine import EngineLimits, load_engine
from model.inference.loading import load_export
from tests.model.continuations import continued

transformers = pytest.importorskip("transformers")

SIZES = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
MODELS: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama"},
    "llama, tied, with biases": {"model_type": "llama", "tie_word_embeddings": True, "attention_bias": True},
    "llama 3.1": {"model_type": "llama", "rope_parameters": LLAMA3},
    "llama, wide heads, a key head for each": {"model_type": "llama", "head_dim": 32, "num_key_value_heads": 4},
    "qwen2": {"model_type": "qwen2", "tie_word_embeddings": True},
    "mistral with a window": {"model_type": "mistral", "sliding_window": 16},
    "qwen3": {"model_type": "qwen3", "head_dim": 32},
}


def written(folder: Path, **fields: Any) -> Any:
    """A model of random weights in transformers, saved into a folder in several files."""
    config = transformers.AutoConfig.for_model(**{**SIZES, **fields})
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.15 + (parameter.ndim == 1))
    model.save_pretrained(folder, max_shard_size="100KB")
    return model


@pytest.mark.parametrize("fields", MODELS.values(), ids=MODELS)
def test_logits_and_tokens_are_those_of_transformers(tmp_path: Path, fields: dict[str, Any]) -> None:
    model = written(tmp_path, **fields)
    engine = load_engine(tmp_path, limits=EngineLimits(slots=60, context=100))
    tokens = torch.randint(300, (1, 60), generator=torch.Generator().manual_seed(1))
    numbers = list(range(60))
    found = engine.decoder.forward(Rows(tokens[0].tolist(), [0] * 60, numbers, numbers))
    with torch.no_grad():
        theirs = model(tokens).logits[0]
        torch.testing.assert_close(found, theirs, atol=2e-4, rtol=0)
        torch.testing.assert_close(load_export(tmp_path, torch.float32)(tokens)[0], theirs, atol=2e-4, rtol=0)
    made = model.generate(
        tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=30, do_sample=False, eos_token_id=None,
        pad_token_id=0,
    )  # fmt: skip
    assert continued(engine, tokens.tolist(), 30) == [made[0, 60:].tolist()]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mixtral"}, "model type mixtral"),
        ({"hidden_act": "gelu"}, "only 'silu' can be read"),
        ({"mlp_bias": True}, "mlp_bias is set, which is not computed here"),
        ({"quantization_config": {"bits": 4}}, "quantization_config is set"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}, "rope_parameters": None}, "type 'dynamic'"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 2.0}, "rope_parameters": None}, "original_max_position"),
        ({"rope_parameters": {**LLAMA3, "high_freq_factor": 0.5}}, "rope_low_freq_factor must be above 0 and below"),
        ({"hidden_size": 32}, "do not fit its config.json: .* and should be"),
        ({"attention_bias": True}, "k_proj.bias is missing, and should be"),
        ({"num_hidden_layers": 1}, r"layers.1.\S* is .* and should be absent"),
        ({"num_attention_heads": 0}, "heads must be at least 1"),
    ],
)
def test_what_cannot_be_computed_is_refused_in_words(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    written(tmp_path, model_type="llama")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(BadInput, match=message):
        load_engine(tmp_path)
