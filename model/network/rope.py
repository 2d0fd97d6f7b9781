"""Rotary positions: the tables of cosines and sines, with frequencies stretched if the shape says so.

Notable: each way of stretching gives the numbers that transformers computes from `rope_parameters`, with its defaults
for YaRN, and llama.cpp from a GGUF file.
"""

import math

import torch
from torch import Tensor

from model.base.sizes import ModelShape

_FAST_TURNS, _SLOW_TURNS = 32, 1
"""YaRN keeps a frequency that turns more than the first number of times within the original context, and stretches one
that turns less than the second (arXiv:2309.00071, section 3.2: beta and alpha)."""


def rotary_tables(shape: ModelShape) -> tuple[Tensor, Tensor]:
    """Return the cosines and sines, each (context, head_dim), of RoFormer's rotation (equation 34)."""
    frequencies, scale = rotary_frequencies(shape)
    angles = torch.outer(torch.arange(shape.context, dtype=torch.float32), frequencies)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos() * scale, angles.sin() * scale


def rotary_frequencies(shape: ModelShape) -> tuple[Tensor, float]:
    """Return the angles per position (head_dim / 2), and the factor of queries and keys."""
    width, base = shape.head_dim, shape.rope_base
    frequencies = base ** -(torch.arange(0, width, 2, dtype=torch.float32) / width)
    if shape.rope_scaling == "none":
        return frequencies, 1.0
    stretched = frequencies / shape.rope_factor
    if shape.rope_scaling == "linear":
        return stretched, 1.0
    if shape.rope_scaling == "llama3":
        turns = shape.original_context * frequencies / (2 * math.pi)
        slow, fast = shape.rope_low_freq_factor, shape.rope_high_freq_factor
        kept = ((turns - slow) / (fast - slow)).clamp(0, 1)
        return frequencies * kept + stretched * (1 - kept), 1.0
    fastest = max(math.floor(_channel_of(_FAST_TURNS, shape)), 0)
    slowest = min(math.ceil(_channel_of(_SLOW_TURNS, shape)), width - 1)
    ramp = (torch.arange(width // 2, dtype=torch.float32) - fastest) / max(slowest - fastest, 0.001)
    share = ramp.clamp(0, 1)
    # The temperature of YaRN's softmax, as a factor of both sides of the product (section 3.3).
    return frequencies * (1 - share) + stretched * share, 0.1 * math.log(shape.rope_factor) + 1.0


def _channel_of(turns: float, shape: ModelShape) -> float:
    """Return the channel, a fraction, whose frequency turns `turns` times within the original context."""
    return shape.head_dim * math.log(shape.original_context / (turns * 2 * math.pi)) / (2 * math.log(shape.rope_base))
