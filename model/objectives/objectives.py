"""What a model is trained to do: say the next token, name masked ones, or write what is missing from a text.

Notable:
- An objective is which model is built, what its batches hide (model/data/corruption.py) and how held-out documents are
  scored. The training loop is the same for all, and asks nothing about them.
- Held-out documents are corrupted by their number alone, so every run and every process sees the same gaps.
- Only the next-token objective gives bits per byte, a chat model and an export: the others see what they are to predict
  from both sides, and their loss is not a text's probability.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from model.base.config import ModelShape
from model.data.corrupted_sequences import corrupted_rows
from model.data.corruption import Corrupted, Corruption, corruption_of
from model.data.token_cache import TokenCache
from model.metrics.flops import encoder_decoder_flop_per_token, flop_per_token
from model.network.transformer import Transformer
from model.objectives.encoder import Encoder
from model.objectives.encoder_decoder import EncoderDecoder
from model.objectives.held_out import Score, ScoreDocuments, score_documents, sum_over_passes

LanguageModel = Transformer | EncoderDecoder
"""A model of any objective; all are called with inputs, targets and segments, and give the summed loss."""
OBJECTIVE_SETTING = "objective"
"""Where a checkpoint's settings name the objective."""


@dataclass(frozen=True)
class Objective:
    """One way to learn from text."""

    name: str
    """`causal`, `masked` or `span_corruption`."""
    build: Callable[[ModelShape, torch.dtype], LanguageModel]
    """Makes a model without weights."""
    score: ScoreDocuments
    """Scores held-out documents."""
    flop_per_token: Callable[[ModelShape], float]
    """FLOP of training on one token of text."""


CAUSAL = Objective("causal", Transformer, score_documents, flop_per_token)
"""The next token; the objective of every model that generates text."""


def objective_of(name: str, shape: ModelShape) -> Objective:
    """The objective that a config names.

    Args:
        name: `causal`, `masked` or `span_corruption`.
        shape: gives the ids that stand for what is hidden.
    """
    corruption = corruption_of(name, shape)
    if corruption is None:
        return CAUSAL
    score = partial(_score_corrupted, corruption)
    if corruption.has_answers:
        return Objective(name, EncoderDecoder, score, encoder_decoder_flop_per_token)
    return Objective(name, Encoder, score, flop_per_token)


@torch.no_grad()
def _score_corrupted(
    corruption: Corruption,
    model: nn.Module,
    context: int,
    cache: TokenCache,
    documents: npt.NDArray[np.int64],
    batch: int,
    device: torch.device,
) -> Score:
    """Scores what is hidden in `documents`, each cut into pieces of the context."""
    pieces = [piece for document in documents for piece in _corrupted_pieces(corruption, context, cache, int(document))]

    def tensors_of(chosen: Sequence[Corrupted]) -> tuple[Tensor, ...]:
        arrays = corrupted_rows([[piece] for piece in chosen] or [[]], context, corruption.has_answers)
        return tuple(torch.from_numpy(array).to(device) for array in arrays)

    nats, tokens = sum_over_passes(model, pieces, batch, tensors_of)
    return Score(nats, tokens, 0, len(documents))


def _corrupted_pieces(corruption: Corruption, context: int, cache: TokenCache, document: int) -> list[Corrupted]:
    tokens = cache.tokens[cache.offsets[document] : cache.offsets[document + 1]].astype(np.int64)
    draws = np.random.default_rng(document)
    return [corruption.corrupt(tokens[start : start + context], draws) for start in range(0, len(tokens), context)]
