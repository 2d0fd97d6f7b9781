"""An encoder, and one with a decoder that reads from it (T5, arXiv:1910.10683, section 2.1), of the decoder's parts.

Notable:
- Both halves have `shape.layers` layers and share the embedding. The decoder's blocks also attend to the encoder's
  output, without positions, since a decoder's position has no place in the text.
- Cross-attention stays within a segment too, so packed documents do not affect each other.
"""

import torch
from torch import Tensor, nn

from model.base.sizes import ModelShape
from model.network.attention import Attention, AttentionWeights, Rotary
from model.network.attention_mask import AttentionMask, added_to_scores, self_attention_mask
from model.network.layers import RMSNorm
from model.network.operations import attention
from model.network.transformer import Block, FeedForward, Transformer, WholeModel, compile_parts


class Encoder(Transformer):
    """The decoder's blocks, each position seeing its whole document (BERT, arXiv:1810.04805, section 3).

    `forward` is the decoder's, without a cache; `targets` are the tokens at the masked positions themselves. `segments`
    must separate padding, since nothing else hides it. A layer with a window sees that many positions on either side.
    """

    causal = False


class CrossAttention(AttentionWeights):
    """Attention to another sequence."""

    def forward(self, input: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Map (B, T, width) to the same shape, reading `memory` (B, S, width) where `mask` (B, 1, T, S) allows."""
        queries, keys, values = self.heads_of(input, memory)
        mixed = attention(self.q_norm(queries), self.k_norm(keys), values, mask, self.fused)
        return self.o_proj(mixed.flatten(-2))


class DecoderBlock(nn.Module):
    """Attention, attention to the encoder's output, then feed-forward, each added to the residual stream."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.hidden_size, shape.norm_epsilon)
        self.self_attn = Attention(shape)
        self.cross_layernorm = RMSNorm(shape.hidden_size, shape.norm_epsilon)
        self.cross_attn = CrossAttention(shape)
        self.post_attention_layernorm = RMSNorm(shape.hidden_size, shape.norm_epsilon)
        self.mlp = FeedForward(shape)

    def forward(
        self, stream: Tensor, rotary: Rotary, mask: AttentionMask, memory: Tensor, cross_mask: Tensor
    ) -> Tensor:
        """Map (B, T, width) to the same shape."""
        stream = stream + self.self_attn(self.input_layernorm(stream), rotary, mask)
        stream = stream + self.cross_attn(self.cross_layernorm(stream), memory, cross_mask)
        return stream + self.mlp(self.post_attention_layernorm(stream))


class Stack(nn.Module):
    """The layers of one half and the norm after them."""

    def __init__(self, shape: ModelShape, kind: type[Block] | type[DecoderBlock]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(kind(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.hidden_size, shape.norm_epsilon)


class EncoderDecoder(WholeModel):
    """The whole model; `shape` has the sizes of each half."""

    parts_of_row = 2
    """Sequences of up to `context` positions that a row of inputs is made of."""

    def __init__(self, shape: ModelShape, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(shape, dtype)
        self.encoder, self.decoder = Stack(shape, Block), Stack(shape, DecoderBlock)
        self.add_head()

    def forward(self, inputs: Tensor, targets: Tensor, segments: Tensor) -> Tensor:
        """Return the summed cross-entropy in nats.

        Args:
            inputs: (B, S + T) token ids: what the encoder reads, then what the decoder reads.
            targets: (B, T) token ids that the decoder is to predict, negative where none is.
            segments: (B, S + T) numbers; a position attends only to those with its own number, in either half.
        """
        split = inputs.shape[1] - targets.shape[1]
        memory = self.encode(inputs[:, :split], segments[:, :split])
        hidden = self.decode(inputs[:, split:], segments[:, split:], memory, segments[:, :split])
        loss: Tensor = self.lm_head(hidden, targets)
        return loss

    def encode(self, tokens: Tensor, segments: Tensor) -> Tensor:
        """Encode (B, S) tokens to (B, S, width), which the decoder reads."""
        stream, rotary, masks = self._begin(tokens, segments, causal=False)
        for block, window in zip(self.encoder.layers, self.shape.windows, strict=True):
            stream = block(stream, rotary, masks[window])
        memory: Tensor = self.encoder.norm(stream)
        return memory

    def decode(self, tokens: Tensor, segments: Tensor, memory: Tensor, memory_segments: Tensor) -> Tensor:
        """Return the decoder's output (B, T, width) for (B, T) tokens; `lm_head(output, None)` gives its logits."""
        stream, rotary, masks = self._begin(tokens, segments, causal=True)
        # Padding may have no counterpart in the encoder, so it sees all of it: a softmax over nothing is NaN.
        allowed = (segments.unsqueeze(2) == memory_segments.unsqueeze(1)) | (segments < 0).unsqueeze(2)
        cross_mask = added_to_scores(allowed.unsqueeze(1), self.dtype)
        for block, window in zip(self.decoder.layers, self.shape.windows, strict=True):
            stream = block(stream, rotary, masks[window], memory, cross_mask)
        output: Tensor = self.decoder.norm(stream)
        return output

    def compile_for(self, device: torch.device) -> None:
        """Compile for training, as the decoder alone does."""
        compile_parts(self, (Block, DecoderBlock), device)

    @property
    def blocks(self) -> list[nn.Module]:
        """The layers of both halves: the units that may be sharded."""
        return [*self.encoder.layers, *self.decoder.layers]

    def _begin(self, tokens: Tensor, segments: Tensor, causal: bool) -> tuple[Tensor, Rotary, dict[int, AttentionMask]]:
        length = tokens.shape[1]
        rotary = (self.cosines[None, :length, None], self.sines[None, :length, None])
        windows = set(self.shape.windows)
        masks = {window: self_attention_mask(tokens, segments, causal, window, self.dtype) for window in windows}
        return self.embed_tokens(tokens).to(self.dtype), rotary, masks
