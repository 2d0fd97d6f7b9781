"""What a model is trained to do: predict the next token, predict masked ones, or write what is missing from a text.

Notable:
- An objective determines which model is built, what its batches hide (model/data/corruption.py) and how held-out
  documents are scored. The training loop is the same for all.
- Held-out documents are corrupted by their number alone, so every run and every process sees the same gaps.
- Only the next-token objective gives bits per byte, a chat model and an export: the others see both sides of what they
  predict, so their loss is not the probability of a text.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.base.sizes import ModelShape
from model.data.corrupted_sequences import corrupted_rows
from model.data.corruption import Corrupted, Corruption, corruption_of
from model.metrics.flops import encoder_decoder_flop_per_token, flop_per_token
from model.network.low_rank import add_adapters
from model.network.transformer import Transformer
from model.objectives.encoder_decoder import Encoder, EncoderDecoder
from model.objectives.held_out import HeldOut, Score, ScoreDocuments, score_documents, sum_over_passes

LanguageModel = Transformer | EncoderDecoder
"""A model of any objective; called with inputs, targets and segments, it returns the summed loss."""
OBJECTIVE_SETTING = "objective"
"""Where a checkpoint's settings name the objective."""


@dataclass(frozen=True)
class Objective:
    """One way to learn from text."""

    name: str
    """`causal`, `masked` or `span_corruption`."""
    build: Callable[[ModelShape, torch.dtype], LanguageModel]
    """Builds a model without weights."""
    score: ScoreDocuments
    """Scores held-out documents."""
    flop_per_token: Callable[[ModelShape], float]
    """FLOP of training on one token of text."""


CAUSAL = Objective("causal", Transformer, score_documents, flop_per_token)
"""The next token; the objective of every model that generates text."""


LORA_RANK, LORA_SCALE = "lora.rank", "lora.scale"
"""Where a checkpoint's settings name the rank and the scale of adapters, where it has any."""


def with_adapters(objective: Objective, settings: Mapping[str, Any]) -> Objective:
    """Return the objective of a model with the low-rank adapters that a run's settings name, if any."""
    if LORA_RANK not in settings:
        return objective

    def build(shape: ModelShape, dtype: torch.dtype) -> LanguageModel:
        model = objective.build(shape, dtype)
        add_adapters(model, settings[LORA_RANK], settings[LORA_SCALE])
        return model

    return replace(objective, build=build)


def objective_of(name: str, shape: ModelShape) -> Objective:
    """Return the objective that a config names; `shape` gives the ids that stand for what is hidden."""
    corruption = corruption_of(name, shape)
    if corruption is None:
        return CAUSAL
    score = partial(_score_corrupted, corruption)
    if corruption.has_answers:
        return Objective(name, EncoderDecoder, score, encoder_decoder_flop_per_token)
    return Objective(name, Encoder, score, flop_per_token)


@torch.no_grad()
def _score_corrupted(corruption: Corruption, model: nn.Module, held_out: HeldOut) -> Score:
    """Score what is hidden in documents, each cut into pieces of the context."""
    pieces = [piece for document in held_out.documents for piece in _corrupted(corruption, held_out, int(document))]

    def tensors_of(chosen: Sequence[Corrupted]) -> tuple[Tensor, ...]:
        arrays = corrupted_rows([[piece] for piece in chosen] or [[]], held_out.context, corruption.has_answers)
        return tuple(torch.from_numpy(array).to(held_out.device) for array in arrays)

    nats, tokens = sum_over_passes(model, pieces, held_out.batch, tensors_of)
    return Score(nats, tokens, 0, len(held_out.documents))


def _corrupted(corruption: Corruption, held_out: HeldOut, document: int) -> list[Corrupted]:
    context, tokens = held_out.context, held_out.cache.document(document).astype(np.int64)
    draws = np.random.default_rng(document)
    return [corruption.corrupt(tokens[start : start + context], draws) for start in range(0, len(tokens), context)]
