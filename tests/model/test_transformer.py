"""The decoder against transformers' Qwen3, against its own cache, and against documents read alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from model.config import ModelShape
from model.key_value_cache import KeyValueCache
from model.model_loading import SHAPE_FIELDS, exported_weights
from model.transformer import Transformer, initialise
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
    return torch.randint(SHAPE["vocabulary_size"], (rows, length), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kv_heads": 4, "tied_embeddings": False},
        {"kv_heads": 1, "head_width": 16, "rope_base": 1e6},
    ],
)
def test_logits_equal_those_of_transformers(changes: dict[str, Any]) -> None:
    transformers = pytest.importorskip("transformers")
    model = random_model(**changes)
    sizes = {theirs: getattr(model.shape, own) for own, theirs in SHAPE_FIELDS.items()}
    config = transformers.Qwen3Config(**sizes, rope_theta=model.shape.rope_base)
    other = transformers.Qwen3ForCausalLM(config).eval()
    missing, unexpected = other.load_state_dict(exported_weights(model, torch.float32), strict=False)
    assert not unexpected and missing in ([], ["lm_head.weight"])
    other.tie_weights()
    tokens = random_tokens(3, 30)
    with torch.no_grad():
        theirs = other(tokens).logits
        assert theirs.abs().max() > 1
        torch.testing.assert_close(model(tokens), theirs, atol=1e-4, rtol=0)
    torch.testing.assert_close(model(tokens).detach(), theirs, atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_cache_gives_the_logits_of_a_full_pass() -> None:
    model, tokens = random_model(), random_tokens(2, 20)
    full = model(tokens)
    cache = KeyValueCache(model.shape, 2, 20, torch.float32, torch.device("cpu"))
    pieces = [model(part, cache=cache) for part in tokens.split([7, 1, 5, 1, 6], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), full, atol=1e-4, rtol=0)


@torch.no_grad()
def test_left_padding_does_not_change_the_logits() -> None:
    model, tokens = random_model(), random_tokens(1, 12)
    padding = torch.tensor([0, 5])
    rows = torch.cat([random_tokens(1, 17), torch.cat([torch.zeros(1, 5, dtype=torch.long), tokens], dim=1)])
    cache = KeyValueCache(model.shape, 2, 17, torch.float32, torch.device("cpu"), padding)
    padded = torch.cat([model(rows[:, :9], cache=cache), model(rows[:, 9:], cache=cache)], dim=1)
    torch.testing.assert_close(padded[1:, 5:], model(tokens), atol=1e-4, rtol=0)


@pytest.mark.parametrize("with_gradient", [True, False])
def test_documents_of_a_sequence_do_not_see_each_other(with_gradient: bool) -> None:
    model = random_model()
    parts = [random_tokens(2, length) for length in (5, 11, 1, 9)]
    segments = torch.cat([torch.full((2, part.shape[1]), number) for number, part in enumerate(parts)], dim=1)
    with torch.set_grad_enabled(with_gradient):
        packed = model(torch.cat(parts, dim=1), segments=segments)
        alone = torch.cat([model(part) for part in parts], dim=1)
        open_view = model(torch.cat(parts, dim=1))
    torch.testing.assert_close(packed, alone, atol=1e-4, rtol=0)
    assert (packed - open_view).abs().max() > 0.1, "without the mask the documents do see each other"


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
