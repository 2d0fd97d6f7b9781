"""Muon orthogonalises, and every parameter is trained by exactly one optimizer."""

from typing import get_args

import pytest
import torch
from torch import nn

from model.base.learning_config import OptimizerConfig, OptimizerName
from model.base.sizes import ModelShape
from model.network.transformer import Transformer, initialise
from model.training.muon import Muon, orthogonalise
from model.training.optimizer import build_optimizers, set_learning_rates
from tests.model.tiny_corpus import SHAPE


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("rows", "columns"), [(32, 96), (96, 32), (64, 48)])
def test_updates_are_nearly_orthogonal(rows: int, columns: int, dtype: torch.dtype) -> None:
    matrices = torch.randn(3, rows, columns, generator=torch.Generator().manual_seed(0))
    result = orthogonalise(matrices.to(dtype)).double()
    assert result.shape == matrices.shape
    singular = torch.linalg.svdvals(result)
    assert singular.min() > 0.8 and singular.max() < 1.15
    left, _, right = torch.linalg.svd(matrices.double(), full_matrices=False)
    polar = left @ right
    cosine = (polar * result).sum((1, 2)) / polar.norm(dim=(1, 2)) / result.norm(dim=(1, 2))
    assert cosine.min() > 0.99, "it points where the exact polar factor points"


def test_an_update_does_not_depend_on_the_size_of_the_gradient() -> None:
    weights = []
    for size in (1.0, 1e-4):
        weight = nn.Parameter(torch.zeros(8, 16))
        weight.grad = size * torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
        Muon([weight], lr=0.1, momentum=0.9, weight_decay=0.0).step()
        weights.append(weight.detach())
    torch.testing.assert_close(*weights, atol=2e-3, rtol=0)
    assert torch.linalg.matrix_norm(weights[0], 2) == pytest.approx(0.1, rel=0.15)


def test_matrices_of_one_shape_are_updated_independently() -> None:
    """A batch of matrices gives what each gives alone."""
    gradients = torch.randn(2, 8, 16, generator=torch.Generator().manual_seed(0))
    together = [nn.Parameter(torch.ones(8, 16)) for _ in gradients]
    for weight, gradient in zip(together, gradients, strict=True):
        weight.grad = gradient.clone()
    Muon(together, lr=0.1, momentum=0.9, weight_decay=0.1).step()
    for weight, gradient in zip(together, gradients, strict=True):
        alone = nn.Parameter(torch.ones(8, 16))
        alone.grad = gradient.clone()
        Muon([alone], lr=0.1, momentum=0.9, weight_decay=0.1).step()
        torch.testing.assert_close(weight, alone, atol=1e-3, rtol=0)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", get_args(OptimizerName))
def test_every_parameter_has_one_optimizer(name: OptimizerName, tied: bool) -> None:
    model = Transformer(ModelShape(**SHAPE, tied_embeddings=tied))
    optimizers = build_optimizers(model, OptimizerConfig(name=name), torch.float32)
    trained = [id(weight) for optimizer in optimizers for group in optimizer.param_groups for weight in group["params"]]
    assert sorted(trained) == sorted(id(weight) for weight in model.parameters())
    matrices = {id(weight) for weight in model.layers.parameters() if weight.ndim == 2}
    by_muon = {id(weight) for optimizer in optimizers[1:] for weight in optimizer.param_groups[0]["params"]}
    assert by_muon == (matrices if name == "muon" else set())


def test_learning_rates_follow_the_factor() -> None:
    config = OptimizerConfig(lr_scale=0.1, norm_lr=0.03, embedding_lr=0.4, head_lr=0.01, muon_lr=0.02)
    optimizers = build_optimizers(Transformer(ModelShape(**SHAPE, tied_embeddings=False)), config, torch.float32)
    set_learning_rates(optimizers, 0.5)
    rates = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    assert rates == pytest.approx([0.0015, 0.02, 0.0005, 0.001])


def test_decay_takes_from_weights_that_the_update_makes_smaller_too() -> None:
    """Cautious decay (arXiv:2510.12402); the update is the gradient's sign where the gradient is a diagonal."""
    weight = nn.Parameter(torch.diag(torch.tensor([2.0, -2.0, 2.0, 2.0])))
    weight.grad = torch.diag(torch.tensor([1.0, 1.0, -1.0, 1.0]))
    Muon([weight], lr=0.1, momentum=0.0, weight_decay=0.5).step()
    moved = weight.detach().diagonal() - torch.tensor([2.0, -2.0, 2.0, 2.0])
    torch.testing.assert_close(moved, torch.tensor([-0.2, -0.1, 0.1, -0.2]), atol=0.015, rtol=0)


def test_only_the_matrices_of_the_blocks_decay() -> None:
    model = Transformer(ModelShape(**SHAPE))
    matrices = {id(weight) for weight in model.layers.parameters() if weight.ndim == 2}
    for name in get_args(OptimizerName):
        optimizers = build_optimizers(model, OptimizerConfig(name=name, weight_decay=0.5), torch.float32)
        groups = [group for optimizer in optimizers for group in optimizer.param_groups if group["weight_decay"]]
        assert {id(weight) for group in groups for weight in group["params"]} == matrices


@pytest.mark.parametrize("name", get_args(OptimizerName))
def test_embedding_and_head_lose_the_same_share_of_themselves_whatever_their_rates(name: OptimizerName) -> None:
    model = Transformer(ModelShape(**SHAPE, tied_embeddings=False))
    initialise(model, seed=1)
    before = {key: weight.detach().clone() for key, weight in model.named_parameters()}
    config = OptimizerConfig(name=name, lr_scale=0.5, embedding_lr=0.4, head_lr=0.01, table_decay=0.02, weight_decay=0)
    optimizers = build_optimizers(model, config, torch.float32)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    for optimizer in optimizers:
        optimizer.step()
    for key, weight in model.named_parameters():
        kept = 0.99 if key in ("embed_tokens.weight", "lm_head.weight") else 1.0
        torch.testing.assert_close(weight, kept * before[key])
