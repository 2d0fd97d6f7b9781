"""Float8 products are near the exact ones, forward and backward, and train as well (a CPU has them, slowly)."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.base.errors import BadInput
from model.base.learning_config import OptimizerConfig
from model.base.sizes import ModelShape
from model.network.float8 import float8_linear, use_float8
from model.network.layers import Linear
from model.network.transformer import Transformer, initialise
from model.training.optimizer import build_optimizers
from tests.model.tiny_corpus import SHAPE


def drawn(*shape: int, seed: int) -> Tensor:
    """Normal bfloat16 values that take part in gradients."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).bfloat16().requires_grad_()


def relative_error(found: Tensor | None, exact: Tensor | None) -> float:
    """Norm of the difference, as a share of the exact one's."""
    assert found is not None and exact is not None and found.dtype == exact.dtype
    return float((found.float() - exact.float()).norm() / exact.float().norm())


@pytest.mark.parametrize("size", [1.0, 1e-4, 1e4])
def test_products_and_gradients_are_near(size: float) -> None:
    results = []
    for linear in (F.linear, float8_linear):
        input, weight = drawn(2, 16, 48, seed=1), drawn(64, 48, seed=2)
        output = linear(input * size, weight)
        (output * drawn(2, 16, 64, seed=3).detach()).sum().backward()
        results.append((output.detach(), input.grad, weight.grad))
    for found, exact in zip(results[1], results[0], strict=True):
        assert 0 < relative_error(found, exact) < 0.1


def test_without_gradients_or_with_odd_rows_it_is_the_plain_product() -> None:
    input, weight = drawn(1, 16, 48, seed=1), drawn(64, 48, seed=2)
    with torch.no_grad():
        assert torch.equal(float8_linear(input, weight), F.linear(input, weight))
    assert torch.equal(float8_linear(input[:, :5], weight), F.linear(input[:, :5], weight))


def test_a_model_learns_as_it_does_in_bfloat16() -> None:
    losses = []
    tokens = torch.randint(0, 384, (4, 33), generator=torch.Generator().manual_seed(0))
    for float8 in (False, True):
        model = Transformer(ModelShape(**SHAPE), torch.bfloat16)
        initialise(model, 0)
        if float8:
            use_float8(model)
        optimizers = build_optimizers(model, OptimizerConfig(), torch.bfloat16)
        for _ in range(12):
            loss = model(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()) / 128
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[0] != losses[1] and losses[1] == pytest.approx(losses[0], rel=0.1)
    assert all(module.weight.dtype == torch.float32 for module in model.modules() if isinstance(module, Linear))


def test_sizes_that_the_hardware_cannot_take_are_refused_by_name() -> None:
    model = Transformer(ModelShape(**{**SHAPE, "intermediate_size": 72}))
    with pytest.raises(BadInput, match=r"layers\.0\.mlp\.gate_proj is 72 by 32; change the shape"):
        use_float8(model)
