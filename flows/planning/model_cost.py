"""What a model's shape costs: parameters, and arithmetic per token of training; and shapes in a recipe's proportions.

Notable: the model half counts the same for its own metrics (model/metrics/flops.py), where torch is. Tests hold these
formulas against the real model's parameters and against torch's own count of its operations.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from model.base.config import ModelShape


@dataclass(frozen=True)
class Parameters:
    """A shape's weights, by what they are for."""

    matrices: int
    """In the matrix products of the blocks."""
    tables: int
    """Embedding and head; counted once where they are the same."""
    head: int
    """The head, which is a matrix product even where it is the embedding itself."""
    scales: int
    """Of the norms."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.matrices + self.tables + self.scales

    @property
    def multiplied(self) -> int:
        """Those that each token is multiplied with."""
        return self.matrices + self.head


def count_parameters(shape: ModelShape) -> Parameters:
    """The parameters of the model that has this shape."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    attention = shape.hidden_size * (2 * queries + 2 * keys)
    feed_forward = 3 * shape.hidden_size * shape.intermediate_size
    head = shape.vocab_size * shape.hidden_size
    return Parameters(
        matrices=shape.layers * (attention + feed_forward),
        tables=head if shape.tied_embeddings else 2 * head,
        head=head,
        scales=shape.layers * 2 * (shape.hidden_size + shape.head_dim) + shape.hidden_size,
    )


def attention_flop_per_token(shape: ModelShape) -> float:
    """12 L H D T: queries by keys, probabilities by values, forward and backward, as if attention were not causal.

    Of a layer with a window, T is the window.
    """
    seen = sum(min(window or shape.context, shape.context) for window in shape.windows)
    return 12.0 * shape.heads * shape.head_dim * seen


def flop_per_token(shape: ModelShape) -> float:
    """FLOP of training on one token: 6 for each weight of a matrix product, and attention (PaLM, arXiv:2204.02311,
    appendix B)."""
    return 6.0 * count_parameters(shape).multiplied + attention_flop_per_token(shape)


def scaled_shape(shape: ModelShape, fraction: float) -> ModelShape:
    """The shape with `fraction` of its depth and of its heads, and a width and a feed-forward layer to match.

    The head's own width stays, and so, as nearly as heads can be shared out, does the number of query heads to a key
    head. Parameters of the blocks go with the cube of the fraction.
    """
    if fraction == 1.0:
        return shape
    heads = max(1, round(shape.heads * fraction))
    wanted = max(1, round(heads * shape.kv_heads / shape.heads))
    width = max(2, round(heads * shape.hidden_size / shape.heads))
    multiple = 64 if width >= 512 else 16
    return dataclasses.replace(
        shape,
        layers=max(1, round(shape.layers * fraction)),
        hidden_size=width,
        heads=heads,
        kv_heads=max(count for count in range(1, wanted + 1) if heads % count == 0),
        intermediate_size=max(1, round(width * shape.intermediate_size / shape.hidden_size / multiple)) * multiple,
    )
