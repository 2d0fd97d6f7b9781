"""The model under evaluation, as every evaluation task gets it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch

from model.base.config import EvaluateConfig
from model.data.token_cache import open_token_cache
from model.data.token_data import check_vocabulary
from model.network.transformer import Transformer
from model.objectives.held_out import HeldOut, held_out_documents
from model.objectives.objectives import CAUSAL, LanguageModel, Objective


@dataclass(frozen=True)
class Subject:
    """A model on its device, and what to evaluate it on."""

    config: EvaluateConfig
    model: LanguageModel
    objective: Objective
    device: torch.device

    @property
    def decoder(self) -> Transformer | None:
        """The model, if it generates text."""
        return self.model if isinstance(self.model, Transformer) and self.objective is CAUSAL else None

    def held_out(self) -> HeldOut | None:
        """Return the validation documents of the tokens dataset; None if there is none to score."""
        config = self.config
        if config.tokens is None or config.cache is None:
            return None
        cache = open_token_cache(config.tokens, config.cache)
        check_vocabulary(cache, self.model.shape, self.objective.name)
        documents = held_out_documents(cache, config.validation_documents)
        if not len(documents):
            print(f"{config.tokens} holds no validation documents; they are not scored", file=sys.stderr)
            return None
        return HeldOut(cache, documents, self.model.shape.context, config.batch, self.device)
