"""The optimizers that a config can name: AdamW (torch's fused one), or Muon for the matrices inside the blocks.

Notable: to add one, write its builder, add it to `BUILDERS` and to `OptimizerName` (model/base/config.py), and state
what it keeps for each weight (flows/planning/memory.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from model.base.config import OptimizerConfig, OptimizerName
from model.training.muon import Muon


@dataclass(frozen=True)
class Weights:
    """A model's parameters, by what they are."""

    matrices: list[nn.Parameter] = field(default_factory=list)
    """Inside the blocks."""
    tables: list[nn.Parameter] = field(default_factory=list)
    """Embedding and head."""
    scales: list[nn.Parameter] = field(default_factory=list)
    """Of the norms; never decayed."""


def build_optimizers(model: nn.Module, config: OptimizerConfig, dtype: torch.dtype) -> list[Optimizer]:
    """Return the optimizers that together train each float32 parameter of `model` once; Muon's products in `dtype`."""
    weights = Weights()
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            weights.scales.append(parameter)
        else:
            (weights.matrices if ".layers." in f".{name}" else weights.tables).append(parameter)
    optimizers = BUILDERS[config.name](weights, config, dtype)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers


def set_learning_rates(optimizers: list[Optimizer], factor: float) -> None:
    """Set every optimizer's learning rate to `factor` of its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor


def _adamw(weights: Weights, config: OptimizerConfig, dtype: torch.dtype) -> list[Optimizer]:
    groups = [
        {"params": weights.matrices + weights.tables, "weight_decay": config.weight_decay},
        {"params": weights.scales, "weight_decay": 0.0},
    ]
    return [AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)]


def _muon(weights: Weights, config: OptimizerConfig, dtype: torch.dtype) -> list[Optimizer]:
    muon = Muon(weights.matrices, config.muon_lr, config.momentum, config.weight_decay, dtype)
    return [*_adamw(Weights(tables=weights.tables, scales=weights.scales), config, dtype), muon]


BUILDERS: dict[OptimizerName, Callable[[Weights, OptimizerConfig, torch.dtype], list[Optimizer]]] = {
    "muon": _muon,
    "adamw": _adamw,
}
