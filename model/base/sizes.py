"""A model's sizes, and what recipes and plans need of them without torch. Its config.json never holds their depth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from model.base.field_checks import require, require_finite

LOGITS_PER_GPU_CHUNK = 1 << 28
"""Logits that the head makes at a time on a GPU (model/network/cross_entropy.py), at most."""
LEAST_ROWS_PER_CHUNK = 64
"""Positions of a chunk of logits, at least."""
_WIDTH_PER_LAYER = 64
_NARROW_HEAD, _WIDE_HEAD = 64, 128
_WIDE_FROM = 1024
"""Hidden size from which on heads are wide."""


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a decoder as Qwen3 has it (Qwen3 technical report, arXiv:2505.09388, section 2), Qwen2 or Llama."""

    vocab_size: int
    """Rows of the embedding: at least as many as the tokenizer has tokens."""
    layers: int
    """Transformer blocks."""
    hidden_size: int
    """Size of the residual stream, in channels."""
    heads: int
    """Query heads of each block."""
    kv_heads: int
    """Key and value heads of each block; must divide `heads`."""
    intermediate_size: int
    """Inner size of the SwiGLU layer, in channels."""
    context: int
    """Longest sequence the model is trained on, in tokens."""
    head_dim: int = 0
    """Channels of one head, an even number; 0 takes hidden_size / heads."""
    rope_base: float = 10_000.0
    """Base of the rotary frequencies (RoFormer, arXiv:2104.09864, section 3.4.3)."""
    norm_epsilon: float = 1e-6
    """Added to the mean square inside each RMSNorm."""
    head_norms: bool = True
    """Whether the queries and keys of each head are normed, as in Qwen3. Without, the decoder is Llama's, for going on
    with a model of that kind, and what is exported is a Llama."""
    attention_bias: Literal["none", "qkv", "all"] = "none"
    """Which matrices of attention have a bias: those of queries, keys and values, as in Qwen2, or all four. For going
    on with a model of that kind; with `qkv`, what is exported is a Qwen2."""
    tied_embeddings: bool = False
    """Whether the output head is the embedding itself: fewer weights, and a worse model for the same tokens."""
    rope_scaling: Literal["none", "linear", "yarn", "llama3"] = "none"
    """How the rotary frequencies of a shorter context are stretched over this one: all alike (arXiv:2306.15595), or the
    slow ones only, as by YaRN (arXiv:2309.00071, section 3.2) or by Llama 3.1."""
    rope_factor: float = 1.0
    """By how much they are stretched; above 1 with `rope_scaling`. But for `llama3`, this context divided by the one
    that the frequencies were made for."""
    rope_original_context: int = 0
    """With `llama3`, the context that the frequencies were made for, in tokens; 0 without."""
    rope_low_freq_factor: float = 1.0
    """With `llama3`, a frequency that turns less often than this within the original context is stretched in full."""
    rope_high_freq_factor: float = 4.0
    """With `llama3`, a frequency that turns more often than this within the original context is kept."""
    sliding_window: int = 0
    """Positions that a token sees in a layer with a window, its own included; 0: all layers see the whole context."""
    window_pattern: str = "SSSL"
    """Which layers have the window, one letter a layer, repeated: S (short) with the window, L (long) without."""

    def __post_init__(self) -> None:
        if self.head_dim == 0 and self.heads > 0:
            object.__setattr__(self, "head_dim", self.hidden_size // self.heads)
        for name in ("vocab_size", "layers", "hidden_size", "heads", "kv_heads", "intermediate_size", "context"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")
        require_finite(self)
        for name in ("rope_base", "norm_epsilon"):
            require(getattr(self, name) > 0, f"{name} must be positive")
        require(self.heads % self.kv_heads == 0, "kv_heads must divide heads")
        require(self.head_dim >= 2 and self.head_dim % 2 == 0, "head_dim must be even and at least 2")
        scaled = self.rope_scaling != "none"
        right = self.rope_factor > 1 if scaled else self.rope_factor == 1
        require(right, "rope_factor must be above 1 with rope_scaling, and 1 without")
        right = (self.rope_original_context > 0) == (self.rope_scaling == "llama3") and self.rope_original_context >= 0
        require(right, "rope_original_context must be above 0 with rope_scaling llama3, and 0 without")
        right = 0 < self.rope_low_freq_factor < self.rope_high_freq_factor
        require(right, "rope_low_freq_factor must be above 0 and below rope_high_freq_factor")
        right = self.attention_bias != "qkv" or not self.head_norms
        require(right, "attention_bias qkv needs head_norms to be false: no kind of model that is exported has both")
        require(self.sliding_window >= 0, "sliding_window must not be negative")
        letters = set(self.window_pattern)
        require(len(letters) > 0 and letters <= {"S", "L"}, "window_pattern must be of the letters S and L")

    @property
    def original_context(self) -> int:
        """The context that the rotary frequencies were made for, before they were stretched, in tokens."""
        return self.rope_original_context or round(self.context / self.rope_factor)

    @property
    def windows(self) -> tuple[int, ...]:
        """The window of each layer, in positions; 0 where it sees the whole context."""
        short = (self.window_pattern[layer % len(self.window_pattern)] == "S" for layer in range(self.layers))
        return tuple(self.sliding_window if is_short else 0 for is_short in short)


def sizes_of_depth(depth: int, named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sizes of a model of `depth` layers, except those in `named`, from which the others follow.

    - layers: the depth.
    - hidden_size: 64 for each layer, as in nanochat, rounded up to a multiple of `head_dim`.
    - head_dim: 64, or 128 from a hidden size of 1,024 on, as in all of Qwen3 (arXiv:2505.09388, table 1).
    - heads: hidden_size / head_dim.
    - kv_heads: one for two query heads, as in Qwen3's smaller models; one for each where their number is odd.
    - intermediate_size: 8/3 of the hidden size, rounded up to a multiple of 64, so that the three matrices of SwiGLU
      have as many weights as two of four times the hidden size (arXiv:2002.05202, section 2).

    Raises ValueError if the depth or a size that others follow is not a whole number of at least 1, or if the depth has
    nothing left to set.
    """
    if named.keys() >= {"layers", "hidden_size", "heads", "kv_heads", "intermediate_size"}:
        raise ValueError(
            "depth has nothing to set, since all sizes that follow it are named; leave some out, or replace the whole "
            f"shape by {{depth: {depth}}}"
        )
    sizes: dict[str, Any] = {"layers": _whole("depth", depth)}
    hidden_size = _whole("hidden_size", named.get("hidden_size", _WIDTH_PER_LAYER * depth))
    # In a recipe 0 stands for hidden_size / heads, as if head_dim were not named.
    head_dim = named.get("head_dim") or (_WIDE_HEAD if hidden_size >= _WIDE_FROM else _NARROW_HEAD)
    if "hidden_size" not in named:
        hidden_size = -(-hidden_size // _whole("head_dim", head_dim)) * head_dim
    heads = _whole("heads", named.get("heads", max(1, hidden_size // head_dim)))
    sizes |= {"hidden_size": hidden_size, "heads": heads, "kv_heads": heads // 2 if heads % 2 == 0 else heads}
    if "heads" not in named:
        sizes["head_dim"] = head_dim
    sizes["intermediate_size"] = -(-8 * hidden_size // (3 * 64)) * 64
    return {name: size for name, size in sizes.items() if name not in named}


def reserved_ids(objective: str, context: int) -> int:
    """Return how many ids at the top of the vocabulary an objective reserves (model/data/corruption.py).

    Spans are at most 1/20 of the tokens of the longest sequence, and one more sentinel ends the last.
    """
    return {"causal": 0, "masked": 1, "span_corruption": context // 20 + 2}[objective]


def differing_sizes(shape: ModelShape, init: ModelShape) -> str:
    """Return in words what keeps a model of this shape from beginning with the weights of one of shape `init`.

    Nothing where they fit: the vocabulary may be larger, and contexts may differ where frequencies do not depend on it.
    """
    expected, found = vars(shape), vars(init)
    free = {"vocab_size", "context"} if shape.rope_scaling in ("none", "llama3") else {"vocab_size"}
    wrong = [name for name in expected.keys() - free if expected[name] != found[name]]
    words = [f"{name} is {found[name]} there and {expected[name]} in pretrain.shape" for name in sorted(wrong)]
    if init.vocab_size > shape.vocab_size:
        words.append(f"vocab_size is {init.vocab_size} there and only {shape.vocab_size} in pretrain.shape")
    return "; ".join(words)


def _whole(name: str, value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    return value
