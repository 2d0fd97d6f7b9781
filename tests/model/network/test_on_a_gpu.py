"""What takes another path on a GPU, beside the plain formulas there. Skipped where there is none."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.network import cross_entropy, operations
from model.network.attention_mask import added_to_scores, block_mask
from model.network.cross_entropy import linear_cross_entropy
from model.network.float8 import float8_linear

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def error(found: Tensor, expected: Tensor) -> float:
    """The norm of the difference, as a share of what is expected."""
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def drawn(*size: int, seed: int) -> Tensor:
    """Normal numbers in bfloat16."""
    draws = torch.Generator("cuda").manual_seed(seed)
    return torch.randn(size, generator=draws, device="cuda").bfloat16().requires_grad_()


@pytest.mark.parametrize("window", [0, 40])
@pytest.mark.parametrize("causal", [True, False])
def test_flex_attention_equals_plain_attention(causal: bool, window: int) -> None:
    inputs = tuple(drawn(2, 384, heads, 64, seed=heads) for heads in (4, 2, 2))
    positions = torch.arange(384, device="cuda")
    segments = torch.stack([positions // 100, (positions > 30).long() - (positions > 200).long() * 2])
    mask = block_mask(segments, segments, causal, window)
    mixed = operations.attention(inputs[0], inputs[1], inputs[2], mask)
    distance = positions[:, None] - positions
    allowed = segments.unsqueeze(2) == segments.unsqueeze(1)
    allowed = allowed & (distance >= 0 if causal else True) & (distance.abs() < (window or 384))
    exact = tuple(part.detach().double().requires_grad_() for part in inputs)
    table = added_to_scores(allowed.unsqueeze(1), torch.float64)
    expected = operations.attention(exact[0], exact[1], exact[2], table)
    upstream = drawn(*mixed.shape, seed=9).detach()
    found = [mixed, *torch.autograd.grad(mixed, inputs, upstream)]
    wanted = [expected, *torch.autograd.grad(expected, exact, upstream.double())]
    assert max(map(error, found, wanted)) < 1e-2


@pytest.mark.parametrize("fused", [False, True])
def test_the_loss_in_chunks_equals_the_whole_one(fused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "LOGITS_PER_GPU_CHUNK", 1 << 20)
    hidden = drawn(4096 + 24, 128, seed=1)
    weight = (drawn(1000, 128, seed=2).detach().float() * 0.1).requires_grad_()
    targets = torch.randint(0, 1000, (len(hidden),), device="cuda")
    targets[::7] = -100
    loss = linear_cross_entropy(hidden, weight, targets, fused)
    exact = hidden.detach().double().requires_grad_(), weight.detach().bfloat16().double().requires_grad_()
    expected = F.cross_entropy(exact[0] @ exact[1].t(), targets, reduction="sum")
    found = [loss, *torch.autograd.grad(loss, (hidden, weight))]
    wanted = [expected, *torch.autograd.grad(expected, exact)]
    assert max(map(error, found, wanted)) < 1e-2


def test_float8_products_are_near() -> None:
    input, weight = drawn(512, 256, seed=1), drawn(128, 256, seed=2)
    upstream = drawn(512, 128, seed=3).detach()
    found, expected = (
        [product, *torch.autograd.grad(product, (input, weight), upstream)]
        for product in (torch.compile(float8_linear)(input, weight), F.linear(input, weight))
    )
    assert max(map(error, found, expected)) < 0.08
