"""Grouped-query attention, with normed queries and keys or without."""

from torch import Tensor, nn

from model.base.sizes import ModelShape
from model.network.attention_mask import AttentionMask
from model.network.layers import Linear, RMSNorm
from model.network.operations import attention, normed_rotation, rotation

Rotary = tuple[Tensor, Tensor]
"""Cosines and sines, (B or 1, T, 1, D) each."""


class AttentionWeights(nn.Module):
    """The weights of grouped-query attention to the same or to another sequence."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.head_dim = shape.head_dim
        biased = shape.attention_bias != "none"
        self.q_proj = Linear(shape.hidden_size, shape.heads * shape.head_dim, biased)
        self.k_proj = Linear(shape.hidden_size, shape.kv_heads * shape.head_dim, biased)
        self.v_proj = Linear(shape.hidden_size, shape.kv_heads * shape.head_dim, biased)
        self.o_proj = Linear(shape.heads * shape.head_dim, shape.hidden_size, shape.attention_bias == "all")
        self.q_norm = RMSNorm(shape.head_dim, shape.norm_epsilon) if shape.head_norms else nn.Identity()
        self.k_norm = RMSNorm(shape.head_dim, shape.norm_epsilon) if shape.head_norms else nn.Identity()
        self.fused = False

    def heads_of(self, input: Tensor, memory: Tensor) -> list[Tensor]:
        """Return the queries of `input`, and the keys and values of `memory`: (B, T or S, heads, D) each."""
        products = self.q_proj(input), self.k_proj(memory), self.v_proj(memory)
        return [product.unflatten(-1, (-1, self.head_dim)) for product in products]


class Attention(AttentionWeights):
    """Attention of a sequence to itself."""

    def forward(self, input: Tensor, rotary: Rotary, mask: AttentionMask) -> Tensor:
        """Map (B, T, width) to the same shape; without a mask, attention is causal."""
        queries, keys, values = self.heads_of(input, input)
        queries, keys = self._turned(queries, self.q_norm, rotary), self._turned(keys, self.k_norm, rotary)
        mixed = attention(queries, keys, values, mask, self.fused)
        return self.o_proj(mixed.flatten(-2))

    def _turned(self, heads: Tensor, norm: nn.Module, rotary: Rotary) -> Tensor:
        if isinstance(norm, RMSNorm):
            return normed_rotation(heads, norm.weight, norm.epsilon, *rotary, self.fused)
        return rotation(heads, *rotary, self.fused)
