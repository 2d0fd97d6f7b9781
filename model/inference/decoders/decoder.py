"""What the engine needs of a model: its weights, fused and in one precision, and a pass over rows of tokens.

Notable: a row is one token of one sequence at one position, so a pass may hold prompts and continuations of many
sequences. The keys and values of a sequence stay in its slot of a static cache.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import Tensor

from model.base.sizes import ModelShape
from model.network.rope import rotary_tables

WeightPrecision = Literal["float32", "bfloat16", "int8"]
"""How weights are kept."""


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

    def scales_on(self, device: torch.device) -> "LayerWeights":
        """Return the same with the norms' scales on a device, in float32; the rest as it is."""
        norms = {name: part for name, part in vars(self).items() if name.endswith("norm") and part is not None}
        return replace(self, **{name: part.to(device, torch.float32) for name, part in norms.items()})


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

    @property
    def matrices(self) -> list[Tensor]:
        """The matrices that every token is multiplied by."""
        blocks = [matrix for layer in self.layers for matrix in (layer.qkv, layer.out, layer.gate_up, layer.down)]
        return [*blocks, self.embedding if self.head is None else self.head]


def decoder_weights(shape: ModelShape, named: Mapping[str, Tensor]) -> DecoderWeights:
    """Return the weights that `named` holds under transformers' names; what is not fused shares their memory.

    A model has the biases and the norms of heads that are in `named`.
    """
    cosines, sines = rotary_tables(shape)
    return DecoderWeights(
        shape=shape,
        embedding=named["model.embed_tokens.weight"],
        head=None if shape.tied_embeddings else named["lm_head.weight"],
        norm=named["model.norm.weight"],
        layers=[_layer(named, f"model.layers.{number}.", window) for number, window in enumerate(shape.windows)],
        cosines=cosines,
        sines=sines,
    )


def _layer(named: Mapping[str, Tensor], prefix: str, window: int) -> LayerWeights:
    def joined(room: str, parts: Sequence[str], kind: str = "weight") -> Tensor:
        return torch.cat([named[f"{prefix}{room}.{part}.{kind}"] for part in parts])

    heads = ("q_proj", "k_proj", "v_proj")
    biased = f"{prefix}self_attn.q_proj.bias" in named
    return LayerWeights(
        input_norm=named[f"{prefix}input_layernorm.weight"],
        qkv=joined("self_attn", heads),
        qkv_bias=joined("self_attn", heads, "bias") if biased else None,
        q_norm=named.get(f"{prefix}self_attn.q_norm.weight"),
        k_norm=named.get(f"{prefix}self_attn.k_norm.weight"),
        out=named[f"{prefix}self_attn.o_proj.weight"],
        out_bias=named.get(f"{prefix}self_attn.o_proj.bias"),
        post_norm=named[f"{prefix}post_attention_layernorm.weight"],
        gate_up=joined("mlp", ("gate_proj", "up_proj")),
        down=named[f"{prefix}mlp.down_proj.weight"],
        window=window,
    )


def quantised(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return (outputs, inputs) as int8 and the scale of each output, whose largest weight becomes 127."""
    scales = matrix.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / 127
    return (matrix / scales.unsqueeze(1)).round().to(torch.int8), scales
