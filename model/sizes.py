"""Sizes that follow from fewer numbers: a whole shape from its depth, and the ids that an objective needs for itself.

Notable: needs no torch, since a recipe is filled in where torch may not be installed. What comes out is plain sizes; a
model's config.json holds those, and never the number they came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WIDTH_PER_LAYER = 64
_NARROW_HEAD, _WIDE_HEAD = 64, 128
_WIDE_FROM = 1024
"""Width of the model from which on heads are wide."""


def sizes_of_depth(depth: int, named: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes of a model of `depth` layers, less those that are named, which the others follow.

    - layers: the depth.
    - width: 64 for each layer, as in nanochat, and a multiple of the head's width.
    - head_width: 64, and 128 from a width of 1,024 on, as Qwen3 has it everywhere (arXiv:2505.09388, table 1).
    - heads: so many as make up the width.
    - kv_heads: one for two query heads, as in Qwen3's smaller models; one for each where their number is odd.
    - feed_forward_width: 8/3 of the width, rounded up to a multiple of 64, so that the three matrices of SwiGLU have
      the weights of two with a factor of four (arXiv:2002.05202, section 2).

    Raises:
        ValueError: the depth, or a size that others follow, is not a whole number of at least 1; or there is nothing
            left that the depth could set.
    """
    if named.keys() >= {"layers", "width", "heads", "kv_heads", "feed_forward_width"}:
        raise ValueError(
            "depth has nothing to set, since all sizes that follow it are named; leave some out, or replace the whole "
            f"shape by {{depth: {depth}}}"
        )
    sizes: dict[str, Any] = {"layers": _whole("depth", depth)}
    width = _whole("width", named.get("width", _WIDTH_PER_LAYER * depth))
    # In a recipe 0 stands for width / heads, as if the head's width were not named.
    head_width = named.get("head_width") or (_WIDE_HEAD if width >= _WIDE_FROM else _NARROW_HEAD)
    if "width" not in named:
        width = -(-width // _whole("head_width", head_width)) * head_width
    heads = _whole("heads", named.get("heads", max(1, width // head_width)))
    sizes |= {"width": width, "heads": heads, "kv_heads": heads // 2 if heads % 2 == 0 else heads}
    if "heads" not in named:
        sizes["head_width"] = head_width
    sizes["feed_forward_width"] = -(-8 * width // (3 * 64)) * 64
    return {name: size for name, size in sizes.items() if name not in named}


def reserved_ids(objective: str, context: int) -> int:
    """How many ids at the top of the vocabulary an objective needs for itself (model/corruption.py).

    Args:
        objective: `causal`, `masked` or `span_corruption`.
        context: tokens of the longest sequence; spans are at most 1/20 of them, and one more sentinel ends the last.
    """
    return {"causal": 0, "masked": 1, "span_corruption": context // 20 + 2}[objective]


def _whole(name: str, value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    return value
