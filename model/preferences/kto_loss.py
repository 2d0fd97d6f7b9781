"""The loss of Kahneman-Tversky optimisation (Ethayarajh et al. 2024, arXiv:2402.01306, equation 8)."""

import torch
from torch import Tensor, nn

from model.objectives.loss import Loss


def kto_loss(beta: float) -> Loss:
    """Return the loss of rated replies, rows of (2, T) with an unrelated text second.

    Beside it stand the reference's log-probabilities (R, 2) and signed weights (R). How far the model is from the
    reference is the mean over the whole step, as far as that is above 0. Metrics are the mean implicit reward of good
    replies less that of bad ones, the margin; the share of replies whose reward is on their side of that distance, good
    and bad ones weighing the same; and the distance itself, in nats.
    """

    def ratios(model: nn.Module, inputs: Tensor, targets: Tensor, references: Tensor, text: int) -> Tensor:
        nats = model(inputs[:, text], targets[:, text], None, each=True)
        return -nats.sum(-1) - references[:, text]

    def distances(
        model: nn.Module, inputs: Tensor, targets: Tensor, segments: Tensor | None, references: Tensor, weights: Tensor
    ) -> Tensor:
        # A process without a reply of its own has a row of weight 0.
        return (ratios(model, inputs, targets, references, 1) * (weights != 0)).sum()

    def sums(
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        segments: Tensor | None,
        references: Tensor,
        weights: Tensor,
        distance: Tensor,
    ) -> Tensor:
        rewards = ratios(model, inputs, targets, references, 0)
        zero = distance.clamp(min=0)
        ahead = weights.sign() * (rewards - zero)
        losses = weights.abs() * (1 - torch.sigmoid(beta * ahead))
        margins, agreeing = 2 * beta * weights * rewards, weights.abs() * (ahead > 0)
        return torch.stack([losses, margins, agreeing, zero * (weights != 0)]).sum(1)

    return Loss(sums, ("margin", "accuracy", "kl"), whole_step=distances)
