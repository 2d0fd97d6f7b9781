"""The layers that every part of a model is made of."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.network.operations import rms_norm


class Linear(nn.Linear):
    """A linear layer whose float32 weights are cast to the type of its input."""

    def __init__(self, inputs: int, outputs: int, bias: bool = False) -> None:
        super().__init__(inputs, outputs, bias)
        self.product: Callable[[Tensor, Tensor], Tensor] = F.linear

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        output = self.product(input, self.weight.to(input.dtype))
        return output if self.bias is None else output + self.bias.to(input.dtype)


class RMSNorm(nn.Module):
    """Division by the root mean square and a learnt scale for each channel (arXiv:1910.07467, equation 4)."""

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.epsilon = epsilon
        self.fused = False

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (..., channels), in float32; the result has the input's type."""
        return rms_norm(input, self.weight, self.epsilon, self.fused)
