"""Generation over token ids: greedy or sampled, batched, streamed.

Notable:
- This module knows nothing of text: ids go in and ids come out.
- Prompts of unequal length share a batch, padded on the left with positions of their own, so a prompt gets the same
  continuation in any batch (up to rounding).
- Sequences that have ended leave the batch.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.base.config import MAX_SEED
from model.base.errors import BadInput
from model.network.kv_cache import KeyValueCache
from model.network.transformer import Transformer

_GREEDY_BELOW = 1e-6
"""Temperature from which down only equal logits could both be drawn: float32 divided by less than this overflows."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen."""

    temperature: float = 0.0
    """Divides the logits; 0 takes the likeliest token."""
    top_k: int = 0
    """Only the k likeliest tokens may be drawn; 0 leaves all."""
    top_p: float = 1.0
    """Only the likeliest tokens that together reach this probability may be drawn (arXiv:1904.09751, section 3.1)."""
    max_new_tokens: int = 64
    """Longest continuation, in tokens, the stop token included."""
    seed: int = 0
    """Seeds the draws."""

    def __post_init__(self) -> None:
        right = 0 <= self.temperature < math.inf and self.top_k >= 0 and 0 < self.top_p <= 1
        if not right or self.max_new_tokens < 1:
            raise BadInput(
                "temperature must be a finite number, it and top-k must not be negative, top-p must be above 0 and at "
                "most 1, and max-new-tokens at least 1: got "
                f"{self.temperature}, {self.top_k}, {self.top_p} and {self.max_new_tokens}"
            )
        if not 0 <= self.seed <= MAX_SEED:
            raise BadInput(f"seed must be between 0 and {MAX_SEED}: got {self.seed}")


def generate(
    model: Transformer, prompts: Sequence[Sequence[int]], sampling: Sampling, stop_tokens: Collection[int]
) -> list[list[int]]:
    """Return the continuation of each prompt, without its stop token."""
    replies: list[list[int]] = [[] for _ in prompts]
    for index, token in generate_stream(model, prompts, sampling, stop_tokens):
        replies[index].append(token)
    return replies


@torch.inference_mode()
def generate_stream(
    model: Transformer, prompts: Sequence[Sequence[int]], sampling: Sampling, stop_tokens: Collection[int]
) -> Iterator[tuple[int, int]]:
    """Yield (prompt's index, token) as tokens come; a stop token ends its continuation and is not yielded.

    A continuation also ends after `max_new_tokens`, or when the context is full. Raises BadInput if a prompt is empty
    or leaves no room in the context.
    """
    context = model.shape.context
    for index, prompt in enumerate(prompts):
        if not 0 < len(prompt) < context:
            raise BadInput(
                f"prompt {index} has {len(prompt)} tokens; it needs at least 1 and at most {context - 1}, since the "
                f"model's context is {context}"
            )
    if not prompts:
        return
    device = model.embed_tokens.weight.device
    inputs, padding = _left_padded(prompts, device)
    capacity = min(inputs.shape[1] + sampling.max_new_tokens, inputs.shape[1] + context)
    cache = KeyValueCache(model.shape, len(prompts), capacity, model.dtype, device, padding)
    draws = torch.Generator(device=device).manual_seed(sampling.seed)
    alive = list(range(len(prompts)))
    for made in range(1, sampling.max_new_tokens + 1):
        chosen = choose(model(inputs, cache=cache, last_only=True)[:, -1], sampling, draws)
        going_on = []
        for row, (index, token) in enumerate(zip(alive, chosen.tolist(), strict=True)):
            if token in stop_tokens:
                continue
            yield index, token
            if len(prompts[index]) + made < context:
                going_on.append(row)
        if not going_on:
            return
        if len(going_on) < len(alive):
            rows = torch.tensor(going_on, device=device)
            cache.keep(rows)
            chosen = chosen[rows]
            alive = [alive[row] for row in going_on]
        inputs = chosen.unsqueeze(1)


def choose(logits: Tensor, sampling: Sampling, draws: torch.Generator) -> Tensor:
    """Return the next token (B) of each row of logits (B, vocabulary)."""
    if sampling.temperature < _GREEDY_BELOW:
        return logits.argmax(dim=-1)
    allowed = filter_logits(logits.float() / sampling.temperature, sampling.top_k, sampling.top_p)
    return torch.multinomial(allowed.softmax(dim=-1), 1, generator=draws).squeeze(1)


def filter_logits(logits: Tensor, top_k: int, top_p: float) -> Tensor:
    """Set logits (B, vocabulary) outside top-k, then top-p, to minus infinity; the likeliest always stays."""
    if 0 < top_k < logits.shape[-1]:
        smallest = logits.topk(top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < smallest, -torch.inf)
    if top_p < 1.0:
        ordered, order = logits.sort(dim=-1, descending=True, stable=True)
        probabilities = ordered.softmax(dim=-1)
        before = probabilities.cumsum(dim=-1) - probabilities
        dropped = torch.empty_like(before, dtype=torch.bool).scatter_(-1, order, before >= top_p)
        logits = logits.masked_fill(dropped, -torch.inf)
    return logits


def _left_padded(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor | None]:
    longest = max(len(prompt) for prompt in prompts)
    padding = [longest - len(prompt) for prompt in prompts]
    rows = [[0] * missing + list(prompt) for missing, prompt in zip(padding, prompts, strict=True)]
    inputs = torch.tensor(rows, dtype=torch.long, device=device)
    return inputs, torch.tensor(padding, device=device) if any(padding) else None
