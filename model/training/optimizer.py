"""The optimizers that a config can name: AdamW (torch's fused one), or Muon for the matrices inside the blocks.

Notable: to add one, write its builder, add it to `BUILDERS` and to `OptimizerName` (model/base/learning_config.py), and
state what it keeps for each weight (flows/planning/memory.py).
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from model.base.learning_config import OptimizerConfig, OptimizerName
from model.objectives.objectives import LanguageModel
from model.training.muon import Muon
from model.training.muon_slices import Slices, slices_of


@dataclass(frozen=True)
class Weights:
    """A model's parameters by what they are: each kind learns at a rate of its own."""

    matrices: list[nn.Parameter] = field(default_factory=list)
    """Inside the blocks; the only ones that decay by default."""
    scales: list[nn.Parameter] = field(default_factory=list)
    """Of the norms."""
    embedding: list[nn.Parameter] = field(default_factory=list)
    """Empty where it is the head too."""
    head: list[nn.Parameter] = field(default_factory=list)
    slices: dict[nn.Parameter, Slices] = field(default_factory=dict)
    """How Muon divides matrices; those that it takes whole are not in it."""


def build_optimizers(model: LanguageModel, config: OptimizerConfig, dtype: torch.dtype) -> list[Optimizer]:
    """Return the optimizers that together train each float32 parameter of `model` once; Muon's products in `dtype`."""
    optimizers = BUILDERS[config.name](_by_kind(model), config, dtype)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] *= config.lr_scale
            group["initial_lr"] = group["lr"]
    return optimizers


def _by_kind(model: LanguageModel) -> Weights:
    weights = Weights(slices=slices_of(model))
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue  # frozen under adapters
        if parameter is model.lm_head.weight:
            weights.head.append(parameter)
        elif parameter is model.embed_tokens.weight:
            weights.embedding.append(parameter)
        else:
            (weights.scales if parameter.ndim < 2 else weights.matrices).append(parameter)
    return weights


def set_learning_rates(optimizers: list[Optimizer], factor: float) -> None:
    """Set every optimizer's learning rate to `factor` of its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor


def _adamw(weights: Weights, config: OptimizerConfig, dtype: torch.dtype) -> list[Optimizer]:
    betas, table_betas = (config.beta1, config.beta2), (config.table_beta1, config.table_beta2)
    groups = (
        {"params": weights.matrices, "lr": config.lr, "betas": betas, "weight_decay": config.weight_decay},
        {"params": weights.scales, "lr": config.norm_lr, "betas": betas},
        # torch's decay is a factor of the rate.
        *(
            {"params": table, "lr": lr, "betas": table_betas, "weight_decay": config.table_decay / lr}
            for table, lr in ((weights.embedding, config.embedding_lr), (weights.head, config.head_lr))
        ),
    )
    return [AdamW([group for group in groups if group["params"]], eps=config.epsilon, weight_decay=0.0, fused=True)]


def _muon(weights: Weights, config: OptimizerConfig, dtype: torch.dtype) -> list[Optimizer]:
    slices = weights.slices if config.muon_unit == "head" else None
    muon = Muon(weights.matrices, config.muon_lr, config.momentum, config.weight_decay, dtype, slices)
    rest = dataclasses.replace(weights, matrices=[], slices={})
    return [*(_adamw(rest, config, dtype) if rest != Weights() else ()), muon]


BUILDERS: dict[OptimizerName, Callable[[Weights, OptimizerConfig, torch.dtype], list[Optimizer]]] = {
    "muon": _muon,
    "adamw": _adamw,
}
