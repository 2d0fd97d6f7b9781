"""The loops that ours is measured against: one like nanoGPT's, and a plain one around transformers' Qwen3.

Notable: both get what ours gets: bfloat16, torch's fused AdamW, gradient clipping, as many threads. They also get what
`model.base.device.keep_freed_memory` does, which is for the whole process; alone they would be slower, never faster.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.base.device import activation_dtype
from model.base.sizes import ModelShape
from tests.bench.side_by_side import median_rate
from tests.bench.training.packed_corpus import Sizes

Loss = Callable[[Tensor, Tensor], Tensor]
CPU = torch.device("cpu")


class GptBlock(nn.Module):
    """GPT-2's block: LayerNorm, causal attention, LayerNorm, GELU; no biases, no dropout."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        width = shape.hidden_size
        self.heads = shape.heads
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, stream: Tensor) -> Tensor:
        """(B, T, width) to the same."""
        batch, length, width = stream.shape
        projected = self.query_key_value(self.attention_norm(stream)).split(width, dim=2)
        query, key, value = (part.view(batch, length, self.heads, -1).transpose(1, 2) for part in projected)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        stream = stream + self.attention_out(mixed.transpose(1, 2).reshape(batch, length, width))
        hidden = F.gelu(self.up(self.feed_forward_norm(stream)))
        return stream + self.down(hidden)


class Gpt(nn.Module):
    """GPT-2 with learnt positions and a tied head."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.positions = nn.Embedding(shape.context, shape.hidden_size)
        self.blocks = nn.Sequential(*(GptBlock(shape) for _ in range(shape.layers)))
        self.norm = nn.LayerNorm(shape.hidden_size, bias=False)
        self.head = nn.Linear(shape.hidden_size, shape.vocab_size, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The mean cross-entropy of (B, T) targets."""
        stream = self.tokens(inputs) + self.positions(torch.arange(inputs.shape[1], device=inputs.device))
        logits = self.head(self.norm(self.blocks(stream)))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


@dataclass(frozen=True)
class Rival:
    """A model of another loop."""

    model: nn.Module
    loss: Loss
    """The mean cross-entropy of (B, T) inputs and (B, T) targets."""


def nanogpt_style(shape: ModelShape) -> Rival:
    """A GPT of our sizes, its weights drawn as nanoGPT draws them."""
    torch.manual_seed(1)
    model = Gpt(shape)
    for name, parameter in model.named_parameters():
        into_stream = name.endswith(("attention_out.weight", "down.weight"))
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.02 / (2 * shape.layers) ** 0.5 if into_stream else 0.02)
    return Rival(model, model)


def transformers_style(shape: ModelShape) -> Rival:
    """transformers' Qwen3 of our very shape."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(1)
    config = Qwen3Config(
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        use_cache=False,
        attn_implementation="sdpa",
    )
    model = Qwen3ForCausalLM(config).train()

    def loss(inputs: Tensor, targets: Tensor) -> Tensor:
        mean: Tensor = model(input_ids=inputs, labels=targets, shift_labels=targets).loss
        return mean

    return Rival(model, loss)


def rival_speed(
    rival: Rival, tokens: npt.NDArray[np.uint16], warmup: int, steps: int, sizes: Sizes
) -> Callable[[], float]:
    """A worker that goes on training a rival and returns the tokens/s of the median of its steps."""
    trained = rival_steps(rival, tokens, sizes, lambda step: 1e-3)

    def work() -> float:
        for _ in range(warmup):
            next(trained)
        times = [time.perf_counter()]
        for _ in range(steps):
            assert next(trained).isfinite()
            times.append(time.perf_counter())
        return median_rate(times, sizes.tokens_per_step)

    return work


def rival_steps(
    rival: Rival,
    tokens: npt.NDArray[np.uint16],
    sizes: Sizes,
    rate: Callable[[int], float],
    device: torch.device = CPU,
) -> Iterator[Tensor]:
    """The loss of each optimizer step, without end; `rate` gives its learning rate, from step 0.

    Like nanoGPT, it copies batches out of pinned memory, and nothing in it waits for a GPU. Its precision is that of
    ours: bfloat16, or float32 on a CPU that has no instructions for it.
    """
    dtype = activation_dtype("bfloat16", device)
    parameters = list(rival.model.parameters())
    optimizer = torch.optim.AdamW(parameters, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    for step, (inputs, targets) in enumerate(_batches(tokens, sizes)):
        optimizer.param_groups[0]["lr"] = rate(step)
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            mean = rival.loss(_moved(inputs, device), _moved(targets, device))
        mean.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield mean.detach()


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _batches(tokens: npt.NDArray[np.uint16], sizes: Sizes) -> Iterator[tuple[Tensor, Tensor]]:
    """Random stretches of one long row of tokens, as nanoGPT draws them."""
    draws = np.random.default_rng(1)
    context = sizes.shape.context
    while True:
        starts = draws.integers(0, len(tokens) - context - 1, sizes.sequences)
        rows = np.stack([tokens[start : start + context + 1].astype(np.int64) for start in starts])
        yield torch.from_numpy(rows[:, :-1].copy()), torch.from_numpy(rows[:, 1:].copy())
