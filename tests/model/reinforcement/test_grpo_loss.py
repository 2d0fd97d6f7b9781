"""The loss beside values worked out by hand."""

import math

import pytest
import torch
from torch import Tensor, nn

from model.reinforcement.grpo_loss import divergence_of, grpo_loss

TARGETS = torch.tensor([[-100, 1, 0], [1, 1, -100]])


class FixedNats(nn.Module):
    """A model that gives each target the nats that are its weights."""

    def __init__(self, nats: list[list[float]]) -> None:
        super().__init__()
        self.nats = nn.Parameter(torch.tensor(nats))

    def forward(self, inputs: Tensor, targets: Tensor, segments: Tensor | None, each: bool) -> Tensor:
        assert each and segments is None
        return self.nats * (targets >= 0)


def test_the_gradient_is_that_of_the_log_probability_times_the_advantage() -> None:
    model = FixedNats([[9.0, 0.5, 1.0], [2.0, 0.25, 9.0]])
    loss, entropy = grpo_loss(0.0).sums(model, TARGETS, TARGETS, None, torch.tensor([1.5, -1.0]))
    # New and old probability are equal, so each token gives its advantage.
    assert loss.item() == pytest.approx(-(1.5 + 1.5) + (1.0 + 1.0))
    assert entropy.item() == pytest.approx(0.5 + 1.0 + 2.0 + 0.25)
    loss.backward()
    assert model.nats.grad is not None
    assert model.nats.grad.tolist() == [[0.0, 1.5, 1.5], [-1.0, -1.0, 0.0]]


def test_the_divergence_pulls_towards_the_reference() -> None:
    model = FixedNats([[9.0, 0.5, 1.0], [2.0, 0.25, 9.0]])
    reference = torch.tensor([[0.0, 0.5, 2.0], [1.0, 0.25, 0.0]])
    loss, _, divergence = grpo_loss(0.1).sums(model, TARGETS, TARGETS, None, torch.zeros(2), reference)
    # p_ref / p is e^-1 for the third token and e for the fourth: e^-1 + 1 - 1, and e - 1 - 1.
    assert divergence.item() == pytest.approx(math.exp(-1) + math.e - 2)
    assert loss.item() == pytest.approx(0.1 * divergence.item())
    loss.backward()
    assert model.nats.grad is not None
    third, fourth = model.nats.grad[0, 2].item(), model.nats.grad[1, 0].item()
    assert third == pytest.approx(0.1 * (math.exp(-1) - 1)) and fourth == pytest.approx(0.1 * (math.e - 1))


def test_the_divergence_is_right_in_the_mean() -> None:
    draws = torch.Generator().manual_seed(0)
    model, reference = (torch.randn(6, generator=draws, dtype=torch.float64).log_softmax(0) for _ in range(2))
    exact = (model.exp() * (model - reference)).sum()
    assert (model.exp() * divergence_of(-model, -reference)).sum().item() == pytest.approx(exact.item(), rel=1e-9)
    assert (divergence_of(-model, -reference) >= 0).all()
