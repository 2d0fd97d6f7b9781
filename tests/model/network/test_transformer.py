"""The decoder against transformers' Qwen3, Qwen2 and Llama, and against documents read alone."""

from pathlib import Path
from typing import Any

import pytest
import torch

from model.base.errors import BadInput
from model.base.sizes import ModelShape
from model.inference.loading import cast_matrices, exported_weights
from model.inference.transformers_config import shape_of, transformers_config
from model.network.transformer import Transformer, initialise
from tests.model.tiny_corpus import SHAPE


def random_model(**changes: Any) -> Transformer:
    """A model whose every weight is random, norms and residual projections too."""
    model = Transformer(ModelShape(**{**SHAPE, **changes}))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2 + (parameter.ndim == 1))
    return model.eval()


def random_tokens(rows: int, length: int) -> torch.Tensor:
    """Ids (rows, length)."""
    return torch.randint(SHAPE["vocab_size"], (rows, length), generator=torch.Generator().manual_seed(2))


SHAPES: dict[str, dict[str, Any]] = {
    "grouped heads": {},
    "a key head for each query head, untied": {"kv_heads": 4, "tied_embeddings": False},
    "one key head, wide heads, another base": {"kv_heads": 1, "head_dim": 16, "rope_base": 1e6},
    "linear positions": {"rope_scaling": "linear", "rope_factor": 4.0},
    "yarn positions": {"rope_scaling": "yarn", "rope_factor": 2.0, "context": 4096, "head_dim": 16},
    "windows": {"layers": 4, "sliding_window": 5, "window_pattern": "SSLS"},
    "no norms of heads": {"head_norms": False},
    "no norms of heads, stretched": {"head_norms": False, "rope_scaling": "yarn", "rope_factor": 2.0},
    "biases as in Qwen2": {"head_norms": False, "attention_bias": "qkv"},
    "all biases, norms of heads": {"attention_bias": "all"},
    "positions of Llama 3.1": {
        "head_norms": False,
        "attention_bias": "all",
        "rope_scaling": "llama3",
        "rope_factor": 8.0,
        "rope_original_context": 64,
        "rope_high_freq_factor": 8.0,
    },
    "windows everywhere, untied": {"sliding_window": 1, "window_pattern": "S", "tied_embeddings": False},
}
every_shape = pytest.mark.parametrize("changes", SHAPES.values(), ids=SHAPES)


def config_in_transformers(shape: ModelShape) -> Any:
    """The config of a shape as transformers has it."""
    return pytest.importorskip("transformers").AutoConfig.for_model(**transformers_config(shape))


@every_shape
def test_logits_equal_those_of_transformers(changes: dict[str, Any]) -> None:
    transformers = pytest.importorskip("transformers")
    model = random_model(**changes)
    other = transformers.AutoModelForCausalLM.from_config(config_in_transformers(model.shape)).eval()
    missing, unexpected = other.load_state_dict(exported_weights(model, torch.float32), strict=False)
    assert not unexpected and missing in ([], ["lm_head.weight"])
    other.tie_weights()
    tokens = random_tokens(3, 30)
    with torch.no_grad():
        theirs = other(tokens).logits
        assert theirs.abs().max() > 1
        torch.testing.assert_close(model(tokens), theirs, atol=1e-4, rtol=0)
    torch.testing.assert_close(model(tokens).detach(), theirs, atol=1e-4, rtol=0)


@every_shape
def test_a_shape_is_read_back_from_what_is_exported(changes: dict[str, Any]) -> None:
    shape = ModelShape(**{**SHAPE, **changes})
    found = shape_of(transformers_config(shape), Path("export"))
    assert transformers_config(found) == transformers_config(shape) and found.windows == shape.windows
    theirs = config_in_transformers(shape).to_dict()
    assert transformers_config(shape_of(theirs, Path("export"))) == transformers_config(shape)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rope_type": "longrope", "factor": 2.0}, "positions of the type 'longrope'"),
        (
            {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 9},
            r"positions with the options .* 9",
        ),
        ({"rope_type": "linear", "factor": 2.0, "beta_fast": 3}, "positions with the options .*beta_fast"),
    ],
)
def test_positions_of_another_kind_are_refused(fields: dict[str, Any], message: str) -> None:
    config = {**transformers_config(ModelShape(**SHAPE)), "rope_scaling": fields}
    with pytest.raises(BadInput, match=message):
        shape_of(config, Path("export"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rope_scaling": "yarn"}, "rope_factor must be above 1 with rope_scaling, and 1 without"),
        ({"rope_factor": 2.0}, "rope_factor must be above 1 with rope_scaling, and 1 without"),
        ({"rope_original_context": 8}, "rope_original_context must be above 0 with rope_scaling llama3, and 0 without"),
        ({"rope_low_freq_factor": 4.0}, "rope_low_freq_factor must be above 0 and below rope_high_freq_factor"),
        ({"attention_bias": "qkv"}, "attention_bias qkv needs head_norms to be false"),
        ({"sliding_window": -1}, "sliding_window must not be negative"),
        ({"window_pattern": "SLM"}, "window_pattern must be of the letters S and L"),
    ],
)
def test_an_impossible_shape_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelShape(**{**SHAPE, **changes})


@pytest.mark.parametrize("with_gradient", [True, False])
@every_shape
def test_documents_of_a_sequence_do_not_see_each_other(changes: dict[str, Any], with_gradient: bool) -> None:
    model = random_model(**changes)
    parts = [random_tokens(2, length) for length in (5, 11, 1, 9)]
    segments = torch.cat([torch.full((2, part.shape[1]), number) for number, part in enumerate(parts)], dim=1)
    with torch.set_grad_enabled(with_gradient):
        packed = model(torch.cat(parts, dim=1), segments=segments)
        alone = torch.cat([model(part) for part in parts], dim=1)
        open_view = model(torch.cat(parts, dim=1))
    torch.testing.assert_close(packed, alone, atol=1e-4, rtol=0)
    assert model.shape.sliding_window == 1 or (packed - open_view).abs().max() > 0.1, (
        "without the mask the documents do see each other"
    )


def test_gradients_are_those_of_documents_read_alone() -> None:
    model = random_model()
    parts = [random_tokens(1, length) for length in (8, 14)]
    segments = torch.cat([torch.full((1, part.shape[1]), number) for number, part in enumerate(parts)], dim=1)
    tokens = torch.cat(parts, dim=1)
    model(tokens, targets=tokens, segments=segments).backward()
    packed = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    for part in parts:
        model(part, targets=part).backward()
    for one, other in zip(packed, model.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad, atol=1e-3, rtol=1e-3)


def test_initial_weights_depend_on_the_seed_alone() -> None:
    first, second, third = (Transformer(ModelShape(**SHAPE)) for _ in range(3))
    for model, seed in ((first, 1), (second, 1), (third, 2)):
        initialise(model, seed)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.embed_tokens.weight, third.embed_tokens.weight)


def test_bfloat16_activations_stay_close() -> None:
    model = random_model()
    tokens = random_tokens(2, 30)
    exact = model(tokens, targets=tokens)
    model.dtype = torch.bfloat16
    rounded = model(tokens, targets=tokens)
    assert rounded.dtype == torch.float32
    assert abs((rounded - exact).item()) / exact.item() < 0.02


def test_weights_that_are_cast_once_give_the_same_logits() -> None:
    model = random_model()
    model.dtype = torch.bfloat16
    tokens = random_tokens(2, 30)
    expected = model(tokens)
    cast_matrices(model, torch.bfloat16)
    assert model.lm_head.weight.dtype == model.embed_tokens.weight.dtype == torch.bfloat16
    assert model.norm.weight.dtype == torch.float32
    assert torch.equal(model(tokens), expected)
