"""A loss of its own over the model that the loop trains."""

from typing import Any

import torch
from torch import Tensor, nn

from model.base.sizes import ModelShape
from model.network.transformer import Transformer, initialise
from tests.model.tiny_corpus import SHAPE


def tiny_model(**changes: Any) -> Transformer:
    """A model with random weights."""
    model = Transformer(ModelShape(**{**SHAPE, **changes}))
    initialise(model, 3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return model


def gradients(model: nn.Module, loss: Tensor) -> list[Tensor]:
    """The gradients of a loss."""
    model.zero_grad()
    loss.backward()
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


def test_the_nats_of_each_position_are_those_of_the_logits() -> None:
    model = tiny_model()
    tokens = torch.randint(384, (3, 32), generator=torch.Generator().manual_seed(0))
    targets = tokens.roll(-1, 1)
    targets[:, ::3], targets[2] = -100, -100
    each = model(tokens, targets, each=True)
    expected = nn.functional.cross_entropy(model(tokens).transpose(1, 2), targets, reduction="none")
    torch.testing.assert_close(each, expected)
    factors = torch.rand(3, 32, generator=torch.Generator().manual_seed(2))
    ours, theirs = (gradients(model, (nats * factors).sum()) for nats in (each, expected))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(each.sum(), model(tokens, targets))


def test_a_batch_without_targets_has_a_gradient_of_zero_for_every_weight() -> None:
    """DDP waits for the gradient of each."""
    model = tiny_model()
    tokens = torch.zeros(1, 8, dtype=torch.int64)
    found = gradients(model, model(tokens, torch.full_like(tokens, -100), each=True).sum())
    assert len(found) == len(list(model.parameters()))
    assert all(not gradient.any() for gradient in found)
