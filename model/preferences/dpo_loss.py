"""The loss of direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290, equation 7)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.objectives.loss import Loss


def dpo_loss(beta: float, length_normalised: bool) -> Loss:
    """Return the loss of pairs, rows of (2, T), beside the reference's log-probabilities (R, 2).

    Its metrics are the implicit rewards of both replies, their difference, the margin, and whether that is positive.
    """

    def sums(model: nn.Module, inputs: Tensor, targets: Tensor, segments: Tensor | None, reference: Tensor) -> Tensor:
        nats = model(inputs.flatten(0, 1), targets.flatten(0, 1), segments, each=True)
        ratios = -nats.view(targets.shape).sum(-1) - reference
        lengths = (targets >= 0).sum(-1)
        if length_normalised:
            ratios = ratios / lengths.clamp(min=1)
        chosen, rejected = (beta * ratios).unbind(1)
        margins = chosen - rejected
        values = torch.stack([-F.logsigmoid(margins), margins, (margins > 0).float(), chosen, rejected])
        # A process without a pair of its own has a row without targets.
        return (values * (lengths[:, 0] > 0)).sum(1)

    return Loss(sums, ("margin", "accuracy", "chosen_reward", "rejected_reward"), texts_of_row=2)
