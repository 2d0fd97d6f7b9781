"""Evaluation: `python -m model.evaluate CONFIG.json` (model/config.py, EvaluateConfig).

Notable: the result names the model's bits per byte beside those of a unigram model over the same tokens, since a number
alone says nothing about a small corpus. The same model and data give the same file, byte for byte.

Result: {"parameters", "validation": {"documents", "tokens", "text_bytes", "loss", "bits_per_byte",
"unigram_bits_per_byte"}, "questions": {group: {"accuracy", "right", "n"}}}; a part that was not asked for is null, as
is "validation" for a corpus too small to hold documents out. A model that fills gaps has no bits per byte; in their
place stands "gaps": {"objective", "documents", "tokens", "loss", "unigram_loss"}, the losses in nats per token.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from model.chat_format import load_chat_format
from model.config import EvaluateConfig
from model.config_loading import load_config
from model.device import best_device, use_threads
from model.full_disk import writing
from model.held_out import held_out_documents, score_documents, unigram_score
from model.model_loading import cast_matrices, load_any, load_trained
from model.objectives import CAUSAL, LanguageModel, Objective
from model.program import EXIT_DONE, run_program
from model.questions import accuracy_by_group, ask, read_questions, write_replies
from model.token_cache import TokenCache, open_token_cache
from model.token_data import check_vocabulary
from model.transformer import Transformer


def evaluate(config_path: Path) -> int:
    """Runs the whole of evaluation and returns the exit code."""
    config = load_config(config_path, EvaluateConfig)
    use_threads(config.threads)
    dtype = getattr(torch, config.precision)
    model, objective = load_any(config.model, dtype)
    cast_matrices(model, dtype)
    model = model.to(best_device())
    result: dict[str, Any] = {"parameters": sum(parameter.numel() for parameter in model.parameters())}
    if isinstance(model, Transformer) and objective is CAUSAL:
        result |= {"validation": _validation(config, model), "questions": _questions(config, model)}
    else:
        if config.questions is not None:
            load_trained(config.model, torch.float32)  # says why this model cannot be asked
        result |= {"validation": None, "gaps": _gaps(config, model, objective), "questions": None}
    config.result.parent.mkdir(parents=True, exist_ok=True)
    with writing(config.result):
        config.result.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return EXIT_DONE


def _validation(config: EvaluateConfig, model: Transformer) -> dict[str, Any] | None:
    cache, documents = _held_out(config, model, CAUSAL)
    if cache is None:
        return None
    score = score_documents(model, model.shape.context, cache, documents, config.batch, best_device())
    baseline = unigram_score(cache, documents, model.shape.vocabulary_size)
    return {
        "documents": score.documents,
        "tokens": score.tokens,
        "text_bytes": score.text_bytes,
        "loss": score.loss,
        "bits_per_byte": score.bits_per_byte,
        "unigram_bits_per_byte": baseline.bits_per_byte,
    }


def _gaps(config: EvaluateConfig, model: LanguageModel, objective: Objective) -> dict[str, Any] | None:
    cache, documents = _held_out(config, model, objective)
    if cache is None:
        return None
    score = objective.score(model, model.shape.context, cache, documents, config.batch, best_device())
    return {
        "objective": objective.name,
        "documents": score.documents,
        "tokens": score.tokens,
        "loss": score.loss,
        "unigram_loss": unigram_score(cache, documents, model.shape.vocabulary_size).loss,
    }


def _held_out(
    config: EvaluateConfig, model: LanguageModel, objective: Objective
) -> tuple[TokenCache | None, npt.NDArray[np.int64]]:
    """The dataset and its validation documents; no dataset where there is none to score."""
    nothing = np.empty(0, dtype=np.int64)
    if config.tokens is None or config.cache is None:
        return None, nothing
    cache = open_token_cache(config.tokens, config.cache)
    check_vocabulary(cache, model.shape, objective.name)
    documents = held_out_documents(cache, config.validation_documents)
    if not len(documents):
        print(f"{config.tokens} holds no validation documents; they are not scored", file=sys.stderr)
        return None, nothing
    return cache, documents


def _questions(config: EvaluateConfig, model: Transformer) -> dict[str, Any] | None:
    if config.questions is None or config.tokenizer is None or config.replies is None:
        return None
    chat = load_chat_format(config.tokenizer)
    chat.check_vocabulary(model.shape)
    replies = ask(model, chat, read_questions(config.questions), config.max_new_tokens, config.batch)
    write_replies(config.replies, replies)
    return accuracy_by_group(replies)


if __name__ == "__main__":
    sys.exit(run_program(evaluate, sys.argv[1:], "usage: python -m model.evaluate CONFIG.json"))
