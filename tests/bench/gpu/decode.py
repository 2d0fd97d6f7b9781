"""Tokens/s of generation at batch 1 and 256, ours and transformers': the same shape, greedy, in bfloat16.

Notable: a batch's time is that of a long reply less that of one token, so reading the prompt is left out on both sides.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from model.base.sizes import ModelShape
from model.inference.engine import Engine, EngineLimits, engine_of
from model.inference.loading import cast_matrices
from tests.bench.gpu.ways import GPU, fill, on_the_gpu
from tests.bench.training.rival_training import transformers_style
from tests.model.continuations import continued

BATCHES = (1, 256)
REPLY = 64
"""Tokens, so many that what they take stands out from what else the machine does, for the smallest shape too."""
Generate = Callable[[Tensor, int], object]
"""Goes on from (B, T) prompts for so many tokens."""


def decode_rates(shape: ModelShape, whose: str, rounds: int, turn: AbstractContextManager[object]) -> dict[str, Any]:
    """Tokens/s of each batch.

    Args:
        shape: of the model; an eighth of its context is prompt, and `REPLY` tokens, or half of it, are reply.
        whose: `ours` or `transformers`.
        rounds: times that each batch is measured, 3 at the most; the least counts.
        turn: entered before the GPU is used.
    """
    with turn:
        return _rates(shape, whose, min(rounds, 3))


def _rates(shape: ModelShape, whose: str, rounds: int) -> dict[str, Any]:
    read, made = shape.context // 8, min(REPLY, shape.context // 2)
    run = our_generate(shape) if whose == "ours" else transformers_generate(shape)
    found: dict[str, Any] = {"card": torch.cuda.get_device_name(GPU) if GPU.type == "cuda" else "CPU"}
    for batch in BATCHES:
        prompts = torch.randint(3, shape.vocab_size, (batch, read), generator=torch.Generator().manual_seed(1))
        prompts = prompts.to(GPU)
        run(prompts, 4)
        long, short = ([_seconds(run, prompts, tokens) for _ in range(rounds)] for tokens in (1 + made, 1))
        found[f"batch_{batch}"] = round(batch * made / (min(long) - min(short)))
    if GPU.type == "cuda":
        found["memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return found


def our_generate(shape: ModelShape) -> Generate:
    """Our engine, as evaluation uses it."""
    model = on_the_gpu(shape, torch.bfloat16).eval()
    fill(model)
    cast_matrices(model, torch.bfloat16)

    engines: dict[int, Engine] = {}

    def run(prompts: Tensor, tokens: int) -> object:
        batch = len(prompts)
        if batch not in engines:
            engines[batch] = engine_of(model, limits=EngineLimits(slots=batch))
        return continued(engines[batch], prompts.tolist(), tokens)

    return run


def transformers_generate(shape: ModelShape) -> Generate:
    """`generate` of transformers' Qwen3, as it comes."""
    with GPU:
        model = transformers_style(shape).model.to(torch.bfloat16).eval()

    def run(prompts: Tensor, tokens: int) -> object:
        return model.generate(  # type: ignore[operator]
            prompts, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, use_cache=True, pad_token_id=0
        )

    return run


def _seconds(run: Generate, prompts: Tensor, tokens: int) -> float:
    began = time.perf_counter()
    run(prompts, tokens)
    if GPU.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began
