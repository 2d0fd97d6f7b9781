"""Masks: every form says the same, and says what its words say."""

import shutil

import pytest
import torch
from torch import Tensor
from torch.nn.attention import flex_attention as flex_module

from model.base.sizes import ModelShape
from model.network import attention_mask, operations
from model.network.attention_mask import block_mask, self_attention_mask
from model.network.transformer import Transformer
from model.objectives.encoder_decoder import Encoder, EncoderDecoder
from tests.model.tiny_corpus import SHAPE

B, T = 2, 50
SEGMENTS = torch.stack([torch.arange(T) // 11, (torch.arange(T) > 30).long() - (torch.arange(T) > 44).long() * 2])
FORMS = [
    pytest.param(SEGMENTS, True, 0, id="documents"),
    pytest.param(None, True, 7, id="window"),
    pytest.param(SEGMENTS, True, 7, id="documents, window"),
    pytest.param(SEGMENTS, False, 0, id="documents, both sides"),
    pytest.param(SEGMENTS, False, 4, id="documents, window on both sides"),
]


def in_words(segments: Tensor | None, causal: bool, window: int) -> Tensor:
    """(B, 1, T, T), pair by pair."""
    allowed = torch.zeros(B, 1, T, T, dtype=torch.bool)
    for row in range(B):
        for query in range(T):
            for key in range(T):
                same = segments is None or segments[row, query] == segments[row, key]
                near = not window or abs(query - key) < window
                allowed[row, 0, query, key] = same and near and (key <= query or not causal)
    return allowed


@pytest.mark.parametrize(("segments", "causal", "window"), FORMS)
def test_a_mask_allows_what_its_definition_says(segments: Tensor | None, causal: bool, window: int) -> None:
    tokens = torch.zeros(B, T, dtype=torch.long)
    expected = in_words(segments, causal, window)
    mask = self_attention_mask(tokens, segments, causal, window, torch.float32)
    assert isinstance(mask, Tensor)
    assert torch.equal((mask == 0).expand(B, 1, T, T), expected)
    assert expected.any(-1).all(), "everybody sees something"
    allowed = block_mask(tokens, segments, causal, window).mask_mod
    grid = torch.meshgrid(torch.arange(B), torch.arange(T), torch.arange(T), indexing="ij")
    assert torch.equal(allowed(grid[0], torch.tensor(0), grid[1], grid[2]), expected[:, 0])


def test_plain_causal_attention_needs_no_mask() -> None:
    tokens = torch.zeros(B, T, dtype=torch.long)
    assert self_attention_mask(tokens, None, True, 0, torch.float32) is None
    assert self_attention_mask(tokens, None, True, T, torch.float32) is None, "a window as wide as the sequence"


@pytest.mark.parametrize(("segments", "causal", "window"), FORMS)
def test_flex_attention_equals_the_table(
    segments: Tensor | None, causal: bool, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a CPU torch has flex attention's plain form with its derivatives, but lets only the forward pass be called.
    monkeypatch.setattr(flex_module, "_validate_device", lambda *tensors: None)
    draws = torch.Generator().manual_seed(0)
    inputs = tuple(torch.randn(B, T, heads, 16, generator=draws).requires_grad_() for heads in (4, 2, 2))
    queries, keys, values = inputs
    tokens = torch.zeros(B, T, dtype=torch.long)
    table = self_attention_mask(tokens, segments, causal, window, torch.float32)
    weight = torch.randn(B, T, 4, 16, generator=draws)
    found = []
    for mask in (table, block_mask(tokens, segments, causal, window)):
        mixed = operations.attention(queries, keys, values, mask)
        found.append([mixed, *torch.autograd.grad((mixed * weight).sum(), inputs)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(
            operations.attention(queries, keys, values, table), found[1][0], atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("kind", [Transformer, Encoder, EncoderDecoder])
def test_a_model_is_the_same_under_flex_attention(
    kind: type[Transformer | EncoderDecoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flex_module, "_validate_device", lambda *tensors: None)
    model = kind(ModelShape(**{**SHAPE, "head_dim": 16, "sliding_window": 5, "window_pattern": "SL"}))
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws) * 0.2 + (parameter.ndim == 1))
    tokens = torch.randint(SHAPE["vocab_size"], (B, 24), generator=draws)
    halves = torch.arange(12).div(5, rounding_mode="floor").repeat(2).expand(B, 24)
    segments = halves if kind is EncoderDecoder else halves + 3 * (torch.arange(24) >= 12)
    targets = tokens[:, 12:] if kind is EncoderDecoder else tokens
    found = []
    for uses_blocks in (False, True):
        monkeypatch.setattr(attention_mask, "takes_block_masks", lambda device, uses=uses_blocks: uses)
        loss = model(tokens, targets, segments)
        loss.backward()
        found.append([loss.detach(), *(parameter.grad for parameter in model.parameters())])
        model.zero_grad(set_to_none=True)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling for a CPU needs a C++ compiler")
@torch.no_grad()
def test_compiled_blocks_take_block_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"head_dim": 16, "context": 128, "sliding_window": 16, "window_pattern": "SL"}
    model, draws = Transformer(ModelShape(**{**SHAPE, **sizes})), torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=draws) * 0.1 + (parameter.ndim == 1))
    tokens = torch.randint(SHAPE["vocab_size"], (B, 128), generator=draws)
    segments = torch.arange(128).div(50, rounding_mode="floor").repeat(B, 1)
    expected = model(tokens, segments=segments)
    monkeypatch.setattr(attention_mask, "takes_block_masks", lambda device: True)
    for block in model.blocks:
        block.compile()
    torch.testing.assert_close(model(tokens, segments=segments), expected, atol=1e-4, rtol=1e-4)
