"""The written-out operations against their plain formulas, and their derivatives against finite differences."""

import shutil
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from model.base.sizes import ModelShape
from model.network import cross_entropy, operations
from model.network.cross_entropy import linear_cross_entropy
from model.network.transformer import Transformer, initialise


def doubles(*shape: int, seed: int = 0) -> Tensor:
    """Random float64 values that take part in gradients."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


B, T, HEADS, KV_HEADS, D = 2, 3, 4, 2, 4
COSINES, SINES = torch.rand(2, 1, T, 1, D // 2, dtype=torch.float64).repeat(1, 1, 1, 1, 2)
MASK = torch.rand(B, 1, T, T, generator=torch.Generator().manual_seed(0)).gt(0.5).logical_or(torch.eye(T).bool()).tril()
MASK = torch.where(MASK, 0.0, -torch.inf).double()

OPERATIONS: dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]] = {
    "rms_norm": (lambda x, w: operations.rms_norm(x, w, 1e-6), (doubles(B, T, D), doubles(D, seed=1))),
    "normed_rotation": (
        lambda x, w: operations.normed_rotation(x, w, 1e-6, COSINES, SINES),
        (doubles(B, T, HEADS, D), doubles(D, seed=1)),
    ),
    "swiglu": (operations.swiglu, (doubles(B, T, D), doubles(B, T, D, seed=1))),
    "causal attention": (
        lambda q, k, v: operations.attention(q, k, v, None),
        (doubles(B, T, HEADS, D), doubles(B, T, KV_HEADS, D, seed=1), doubles(B, T, KV_HEADS, D, seed=2)),
    ),
    "masked attention": (
        lambda q, k, v: operations.attention(q, k, v, MASK),
        (doubles(B, T, HEADS, D), doubles(B, T, KV_HEADS, D, seed=1), doubles(B, T, KV_HEADS, D, seed=2)),
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_derivatives_are_right(name: str) -> None:
    function, inputs = OPERATIONS[name]
    assert torch.autograd.gradcheck(function, inputs)


@pytest.mark.parametrize("name", OPERATIONS)
def test_both_forms_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, inputs = OPERATIONS[name]
    written_out = function(*inputs)
    monkeypatch.setattr(operations, "_written_out", lambda tensor: False)
    # The plain RMS norm computes in float32 whatever it is given.
    torch.testing.assert_close(function(*inputs), written_out, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("positions", [7, 1500])
def test_cross_entropy_equals_that_of_torch(positions: int) -> None:
    hidden, weight = (doubles(*shape).detach().float().requires_grad_() for shape in ((positions, 8), (1700, 8)))
    targets = torch.randint(1700, (positions,), generator=torch.Generator().manual_seed(0))
    targets[::3] = -100
    loss = linear_cross_entropy(hidden, weight, targets)
    (loss * 0.5).backward()
    own = hidden.grad, weight.grad
    hidden.grad = weight.grad = None
    expected = torch.nn.functional.cross_entropy(hidden @ weight.T, targets, ignore_index=-100, reduction="sum")
    (expected * 0.5).backward()
    torch.testing.assert_close(loss, expected)
    for found, right in zip(own, (hidden.grad, weight.grad), strict=True):
        torch.testing.assert_close(found, right, atol=1e-4, rtol=1e-4)


def test_cross_entropy_makes_no_gradient_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight = (doubles(*shape).detach().float().requires_grad_() for shape in ((9, 8), (17, 8)))
    targets = torch.arange(9)
    expected = linear_cross_entropy(hidden, weight, targets).detach()

    def refuse(total: Tensor, left: Tensor, right: Tensor) -> None:
        raise AssertionError("a gradient was made")

    monkeypatch.setattr(cross_entropy, "_add_product", refuse)
    with torch.no_grad():
        assert torch.equal(linear_cross_entropy(hidden, weight, targets), expected)


@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling for a CPU needs a C++ compiler")
@pytest.mark.parametrize("packed", [False, True], ids=["causal", "masked"])
def test_a_model_with_compiled_operations_has_the_same_loss_and_gradients(packed: bool) -> None:
    shape = ModelShape(
        vocab_size=40, layers=1, hidden_size=32, heads=2, kv_heads=1, intermediate_size=48, context=16, head_dim=16
    )
    model = Transformer(shape)
    initialise(model, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)), alpha=0.1)
    tokens = torch.randint(40, (3, 16), generator=torch.Generator().manual_seed(2))
    segments = torch.arange(16).div(5, rounding_mode="floor").expand(3, 16) if packed else None
    found = {}
    for kind in ("written out", "compiled"):
        if kind == "compiled":
            model.compile_for(torch.device("cpu"))
        loss = model(tokens, tokens.roll(-1, 1), segments)
        loss.backward()
        found[kind] = [loss.detach(), *(parameter.grad for parameter in model.parameters())]
        model.zero_grad(set_to_none=True)
    torch.testing.assert_close(found["compiled"], found["written out"], atol=1e-4, rtol=1e-4)
