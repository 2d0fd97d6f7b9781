"""What the engine needs of a model: its weights, fused and in one precision, and a pass over rows of tokens.

Notable: a row is one token of one sequence at one position, so a pass may hold prompts and continuations of many
sequences. The keys and values of a sequence stay in its slot of a static cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from model.base.config import ModelShape
from model.network.transformer import Transformer


@dataclass(frozen=True)
class Rows:
    """The tokens of one pass; those of a sequence follow one another, in order."""

    tokens: list[int]
    slots: list[int]
    """The slot of each token's sequence."""
    positions: list[int]
    """The place of each token in its sequence, from 0; all earlier ones are in the cache or in this pass."""
    wanted: list[int]
    """The rows whose logits are returned."""


class Decoder(Protocol):
    """A model with a cache of `slots` sequences of up to `context` tokens."""

    slots: int
    context: int
    vocab_size: int
    device: torch.device
    cache_bytes: int
    """Memory of the keys and values, all of it allocated from the start."""
    weight_bytes: int

    def forward(self, rows: Rows) -> Tensor:
        """Store the rows' keys and values and return float32 logits (wanted, vocabulary), valid until the next pass."""

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of a slot into another."""


@dataclass(frozen=True)
class LayerWeights:
    """One block; matrices are (outputs, inputs)."""

    input_norm: Tensor
    qkv: Tensor
    """Queries, keys and values of all heads, below one another."""
    qkv_bias: Tensor | None
    q_norm: Tensor | None
    k_norm: Tensor | None
    out: Tensor
    out_bias: Tensor | None
    post_norm: Tensor
    gate_up: Tensor
    down: Tensor
    window: int
    """Positions that a token sees, its own included; 0: all."""


@dataclass(frozen=True)
class DecoderWeights:
    """A Qwen3- or Llama-shaped decoder, in the type it was stored in."""

    shape: ModelShape
    embedding: Tensor
    head: Tensor | None
    """None where it is the embedding."""
    norm: Tensor
    layers: Sequence[LayerWeights]
    cosines: Tensor
    sines: Tensor
    """(context, head_dim) float32, as in model/network/rope.py."""


@torch.no_grad()
def weights_of(model: Transformer) -> DecoderWeights:
    """Return a model's weights for the engine; matrices that are not fused share its memory."""
    layers = []
    for block, window in zip(model.layers, model.shape.windows, strict=True):
        attention, mlp = block.self_attn, block.mlp
        layers.append(
            LayerWeights(
                input_norm=block.input_layernorm.weight.detach(),
                qkv=torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]).detach(),
                qkv_bias=None,
                q_norm=attention.q_norm.weight.detach(),
                k_norm=attention.k_norm.weight.detach(),
                out=attention.o_proj.weight.detach(),
                out_bias=None,
                post_norm=block.post_attention_layernorm.weight.detach(),
                gate_up=torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]).detach(),
                down=mlp.down_proj.weight.detach(),
                window=window,
            )
        )
    return DecoderWeights(
        shape=model.shape,
        embedding=model.embed_tokens.weight.detach(),
        head=None if model.shape.tied_embeddings else model.lm_head.weight.detach(),
        norm=model.norm.weight.detach(),
        layers=layers,
        cosines=model.cosines,
        sines=model.sines,
    )
