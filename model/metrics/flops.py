"""What a model's shape costs: its parameters, and the arithmetic of training on one token. Needs no torch.

Notable: FLOP per token are 6 N + 12 L H D T (PaLM, arXiv:2204.02311, appendix B). N counts the weights of the matrix
products, so the output head but no embedding; attention is counted as if it were not causal, as is customary. In a
layer with a window, T is the window.
"""

from dataclasses import dataclass

from model.base.sizes import ModelShape


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
    """Of the norms, and the biases."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.matrices + self.tables + self.scales


def count_parameters(shape: ModelShape) -> Parameters:
    """Return the parameters of a model of this shape."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    attention = shape.hidden_size * (2 * queries + 2 * keys)
    feed_forward = 3 * shape.hidden_size * shape.intermediate_size
    biases = {"none": 0, "qkv": queries + 2 * keys, "all": queries + 2 * keys + shape.hidden_size}
    scales = 2 * (shape.hidden_size + shape.head_dim * shape.head_norms) + biases[shape.attention_bias]
    head = shape.vocab_size * shape.hidden_size
    return Parameters(
        matrices=shape.layers * (attention + feed_forward),
        tables=head if shape.tied_embeddings else 2 * head,
        head=head,
        scales=shape.layers * scales + shape.hidden_size,
    )


def flop_per_token(shape: ModelShape) -> float:
    """Return the FLOP of training on one token, forward and backward, in sequences of `shape.context` positions."""
    counts = count_parameters(shape)
    return 6.0 * (counts.matrices + counts.head) + attention_flop_per_token(shape)


def attention_flop_per_token(shape: ModelShape) -> float:
    """Return the share of attention in that: queries by keys and probabilities by values, forward and backward."""
    seen = sum(min(window or shape.context, shape.context) for window in shape.windows)
    return 12.0 * shape.heads * shape.head_dim * seen


def encoder_decoder_flop_per_token(shape: ModelShape) -> float:
    """Return the FLOP for a token of text under span corruption, which hides 15% of it in spans of three.

    The encoder then reads 0.9 positions for each token, whose keys the decoder computes again; the decoder reads 0.2.
    """
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    reading, asking = 2 * shape.hidden_size * keys, 2 * shape.hidden_size * queries
    feed_forward = 3 * shape.hidden_size * shape.intermediate_size
    in_encoder = shape.layers * (2 * reading + asking + feed_forward)
    in_decoder = shape.layers * (reading + 2 * asking + feed_forward) + shape.vocab_size * shape.hidden_size
    attention = 12.0 * queries * shape.layers * shape.context * (0.9 * 0.9 + 0.2 * 0.2 + 0.2 * 0.9)
    return 6.0 * (0.9 * in_encoder + 0.2 * in_decoder) + attention
