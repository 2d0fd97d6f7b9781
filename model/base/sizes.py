"""Sizes that recipes and plans need without torch. A model's config.json holds its sizes, never their depth."""

from collections.abc import Mapping
from typing import Any

from model.base.config import ModelShape

LOGITS_PER_GPU_CHUNK = 1 << 28
"""Logits that the head makes at a time on a GPU (model/network/cross_entropy.py), at most."""
LEAST_ROWS_PER_CHUNK = 64
"""Positions of a chunk of logits, at least."""
_WIDTH_PER_LAYER = 64
_NARROW_HEAD, _WIDE_HEAD = 64, 128
_WIDE_FROM = 1024
"""Hidden size from which on heads are wide."""


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
