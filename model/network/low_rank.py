"""Low-rank adapters (LoRA, arXiv:2106.09685): a linear layer's weight stays as it is, and a product of two small
matrices that is added to it is trained.

Notable:
- The second matrix begins at zero, so a model with new adapters is the model without.
- Names are those of the plain layers, with `lora_A` and `lora_B` beside `weight`, as peft calls them; merged, the model
  is a plain one again, so an export knows nothing of adapters.
"""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from model.network.layers import Linear

Model = TypeVar("Model", bound=nn.Module)


class LowRankLinear(Linear):
    """A linear layer whose own weight is frozen: y = W x + scale * B A x."""

    def __init__(self, plain: Linear, rank: int, scale: float) -> None:
        super().__init__(plain.in_features, plain.out_features, plain.bias is not None)
        self.weight = nn.Parameter(plain.weight.detach(), requires_grad=False)
        self.bias = plain.bias
        self.lora_A = nn.Parameter(torch.zeros(rank, plain.in_features))
        self.lora_B = nn.Parameter(torch.zeros(plain.out_features, rank))
        self.scale = scale

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        low = self.product(input, self.lora_A.to(input.dtype))
        return super().forward(input) + self.scale * self.product(low, self.lora_B.to(input.dtype))

    @torch.no_grad()
    def merged(self) -> Linear:
        """Return the plain layer that computes the same."""
        plain = Linear(self.in_features, self.out_features, self.bias is not None)
        plain.weight.copy_(self.weight + self.scale * self.lora_B @ self.lora_A)
        plain.bias = self.bias
        return plain


def add_adapters(model: nn.Module, rank: int, scale: float) -> None:
    """Put adapters on every linear layer of a model's blocks, and freeze all other weights."""
    model.requires_grad_(False)
    for parent, name, layer in _linear_layers(model):
        setattr(parent, name, LowRankLinear(layer, rank, scale))


def initialise_adapters(model: nn.Module, seed: int) -> None:
    """Draw the first matrices uniformly, with a deviation of 1/sqrt(3 inputs), as peft does."""
    generator = torch.Generator().manual_seed(seed)
    for _, _, layer in _linear_layers(model):
        if isinstance(layer, LowRankLinear):
            bound = layer.in_features**-0.5
            drawn = torch.empty(layer.lora_A.shape).uniform_(-bound, bound, generator=generator)
            layer.lora_A.data.copy_(drawn)


def merge_adapters(model: nn.Module) -> None:
    """Replace every layer with an adapter by the plain layer that computes the same."""
    for parent, name, layer in _linear_layers(model):
        if isinstance(layer, LowRankLinear):
            setattr(parent, name, layer.merged())
    model.requires_grad_(True)


def without_adapters(model: Model) -> Model:
    """Return a model that computes the same and has no adapters: itself, or a copy in which they are merged."""
    if not any(isinstance(layer, LowRankLinear) for layer in model.modules()):
        return model
    whole = copy.deepcopy(model)
    merge_adapters(whole)
    return whole


def _linear_layers(model: nn.Module) -> list[tuple[nn.Module, str, Linear]]:
    """Return each linear layer with the module that it stands in and its name there."""
    return [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, Linear)
    ]
