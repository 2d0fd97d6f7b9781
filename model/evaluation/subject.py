"""The model under evaluation, as every evaluation task gets it."""

from dataclasses import dataclass

import torch

from model.base.config import EvaluateConfig
from model.objectives.objectives import LanguageModel, Objective


@dataclass(frozen=True)
class Subject:
    """A model on its device, and what to evaluate it on."""

    config: EvaluateConfig
    model: LanguageModel
    objective: Objective
    device: torch.device
