"""A Qwen3-shaped decoder (Qwen3 technical report, arXiv:2505.09388, section 2), as plain maths.

Notable:
- RMSNorm before each half of a block and on every query and key head, grouped-query attention, SwiGLU, rotary
  positions; biases in attention alone, for models of others that have them; the output head may be the embedding
  itself. model/network/operations.py has the formulas.
- Weights are float32 and are cast to the type of the activations inside each linear layer, so there is one master copy
  and no autocast; a step casts each weight once.
- Packed documents are kept apart by segment ids: attention stays inside a segment. Rotary positions are relative, so
  a segment needs no positions of its own. Some layers may see only a window (model/network/attention_mask.py).
- Parameters have the names that transformers gives them, without the prefix `model.`.
- Nothing here knows of parallelism or of training; `blocks` are the units that may be sharded
  (model/training/parallelism.py).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.base.sizes import ModelShape
from model.network.attention import Attention, Rotary
from model.network.attention_mask import AttentionMask, self_attention_mask
from model.network.cross_entropy import linear_cross_entropy, nats_of_each
from model.network.layers import Linear, RMSNorm
from model.network.operations import swiglu
from model.network.rope import rotary_tables


class FeedForward(nn.Module):
    """SwiGLU (arXiv:2002.05202, equation 6)."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.gate_proj = Linear(shape.hidden_size, shape.intermediate_size)
        self.up_proj = Linear(shape.hidden_size, shape.intermediate_size)
        self.down_proj = Linear(shape.intermediate_size, shape.hidden_size)
        self.fused = False

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        return self.down_proj(swiglu(self.gate_proj(input), self.up_proj(input), self.fused))


class Block(nn.Module):
    """Attention, then feed-forward, each added to the residual stream."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.hidden_size, shape.norm_epsilon)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.hidden_size, shape.norm_epsilon)
        self.mlp = FeedForward(shape)

    def forward(self, stream: Tensor, rotary: Rotary, mask: AttentionMask) -> Tensor:
        """Map (B, T, width) to the same shape."""
        stream = stream + self.self_attn(self.input_layernorm(stream), rotary, mask)
        return stream + self.mlp(self.post_attention_layernorm(stream))


class Head(nn.Module):
    """The output head: logits, or the loss without keeping the logits."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape.vocab_size, shape.hidden_size))
        self.fused = False

    def forward(self, hidden: Tensor, targets: Tensor | None, each: bool = False) -> Tensor:
        """Map (B, T, width) to float32 logits (B, T, vocabulary), or with targets (B, T) to the summed loss in nats.

        `each`: return the nats of each position, (B, T), instead of their sum.
        """
        if targets is None:
            return F.linear(hidden, self.weight.to(hidden.dtype)).float()
        if each:
            return nats_of_each(hidden.flatten(0, 1), self.weight, targets.flatten()).view(targets.shape)
        return linear_cross_entropy(hidden.reshape(-1, hidden.shape[-1]), self.weight, targets.reshape(-1), self.fused)


class WholeModel(nn.Module):
    """What every model has around its layers: embedding, head and rotary tables."""

    def __init__(self, shape: ModelShape, dtype: torch.dtype) -> None:
        super().__init__()
        self.shape, self.dtype = shape, dtype
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)

    def add_head(self) -> None:
        """Add the head and the tables, once the layers are there: initial weights are drawn in this order."""
        self.lm_head = Head(self.shape)
        if self.shape.tied_embeddings:
            self.embed_tokens.weight = self.lm_head.weight
        self.cosines: Tensor
        self.sines: Tensor
        for name, table in zip(("cosines", "sines"), rotary_tables(self.shape), strict=True):
            self.register_buffer(name, table, persistent=False)


class Transformer(WholeModel):
    """The whole decoder; its activations are float32 or bfloat16."""

    causal = True
    """Whether a position sees only itself and earlier ones."""
    parts_of_row = 1
    """Sequences of up to `context` positions in a row of inputs."""

    def __init__(self, shape: ModelShape, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(shape, dtype)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.hidden_size, shape.norm_epsilon)
        self.add_head()

    def forward(
        self, tokens: Tensor, targets: Tensor | None = None, segments: Tensor | None = None, each: bool = False
    ) -> Tensor:
        """Return float32 logits (B, T, vocabulary), or with targets the summed cross-entropy in nats.

        Args:
            tokens: (B, T) token ids; T must fit the context.
            targets: (B, T) token ids to predict, negative where none is.
            segments: (B, T) numbers; a position attends only to those with its own number.
            each: return the nats of each target, (B, T), 0 where there is none, instead of their sum.
        """
        masks = {
            window: self_attention_mask(tokens, segments, self.causal, window, self.dtype)
            for window in set(self.shape.windows)
        }
        positions = torch.arange(tokens.shape[1], device=tokens.device).unsqueeze(0)
        rotary = (self.cosines[positions].unsqueeze(2), self.sines[positions].unsqueeze(2))
        stream = self.embed_tokens(tokens).to(self.dtype)
        for block, window in zip(self.layers, self.shape.windows, strict=True):
            stream = block(stream, rotary, masks[window])
        logits_or_loss: Tensor = self.lm_head(self.norm(stream), targets, each)
        return logits_or_loss

    def compile_for(self, device: torch.device) -> None:
        """Compile for training: whole blocks on a GPU, on a CPU the operations between the matrix products."""
        compile_parts(self, (Block,), device)

    @property
    def blocks(self) -> list[nn.Module]:
        """The layers: the units that may be sharded."""
        return list(self.layers)


def compile_parts(model: nn.Module, blocks: tuple[type[nn.Module], ...], device: torch.device) -> None:
    """Compile the modules of the types `blocks` and the head's loss on a GPU; on a CPU, the operations in all modules
    that know `fused`."""
    for module in model.modules():
        if isinstance(module, Head) or (device.type == "cpu" and hasattr(module, "fused")):
            vars(module)["fused"] = True
        elif device.type != "cpu" and isinstance(module, blocks):
            module.compile()


@torch.no_grad()
def initialise(model: nn.Module, seed: int) -> None:
    """Fill in initial weights, the same ones for a seed on any device or number of processes.

    Matrices are normal with a deviation of 1/sqrt(inputs), half of it for gate and up projections; the two that write
    into the residual stream start at zero, so that every block starts as the identity (Fixup, arXiv:1901.09321; muP,
    arXiv:2203.03466, appendix D.2). The deviation of an embedding of its own is near that of what blocks add to the
    stream, that of a head of its own near 0; a table that is both lies between. Biases start at zero.
    """
    generator = torch.Generator().manual_seed(seed)
    weights = dict(model.named_parameters())  # a tied table once, under the embedding's name
    tables = {"embed_tokens": 0.8, "lm_head": 0.001} if "lm_head.weight" in weights else {"embed_tokens": 0.02}
    for name, parameter in weights.items():
        if parameter.ndim < 2:
            parameter.fill_(0.0 if name.endswith(".bias") else 1.0)
        elif name.endswith(("o_proj.weight", "down_proj.weight")):
            parameter.zero_()
        else:
            module = name.split(".")[-2]
            gain = 0.5 if module in ("gate_proj", "up_proj") else 1.0
            deviation = tables.get(module, gain * parameter.shape[1] ** -0.5)
            parameter.copy_(torch.empty(parameter.shape).normal_(0.0, deviation, generator=generator))
