"""What a training step costs in arithmetic, and what the machine could do in that time.

Notable:
- FLOP per token are 6 N + 12 L H D T (PaLM, arXiv:2204.02311, appendix B): N counts the weights of the matrix products,
  so the output head but no embedding, and attention is counted as if it were not causal, as everyone counts it. Of a
  layer with a window, T is the window.
- A GPU's peak is its datasheet's dense bfloat16 rate, without sparsity. A CPU has no such number; its peak is measured,
  so its utilization is the share of what its own matrix product reaches.
"""

from __future__ import annotations

import re
import time

import torch

from model.base.config import ModelShape

_BFLOAT16_PEAKS: tuple[tuple[str, float], ...] = (
    ("B200", 2250e12),
    ("GH200", 989e12),
    ("H200", 989e12),
    ("H100 NVL", 835e12),
    ("H100 PCIe", 756e12),
    ("H100", 989e12),
    ("H20", 148e12),
    ("H800", 989e12),
    ("A100", 312e12),
    ("A800", 312e12),
    ("L40S", 362e12),
    ("L40", 181e12),
    ("L4", 121e12),
    ("A10G", 70e12),
    ("A10", 125e12),
    ("A40", 150e12),
    ("A30", 165e12),
    ("RTX 6000 Ada", 364e12),
    ("RTX A6000", 155e12),
    ("RTX 5090", 209e12),
    ("RTX 4090", 165e12),
    ("RTX 4080", 97e12),
    ("RTX 3090", 71e12),
    ("MI300X", 1307e12),
    ("MI325X", 1307e12),
    ("MI250X", 192e12),
)
"""Words of the device's name, and FLOP a second; the first that is in the name counts. NVIDIA's and AMD's datasheets;
GeForce: bfloat16 with float32 sums; MI250X: one of its two dies, which is what torch calls a device."""

_MEASURED_WIDTH = 1024
_MEASURED_TIMES = 5


def flop_per_token(shape: ModelShape) -> float:
    """FLOP of training on one token, forward and backward, in sequences of `shape.context` positions."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    attention_weights = shape.hidden_size * (2 * queries + 2 * keys)
    feed_forward_weights = 3 * shape.hidden_size * shape.intermediate_size
    weights = shape.layers * (attention_weights + feed_forward_weights) + shape.vocab_size * shape.hidden_size
    seen = sum(min(window or shape.context, shape.context) for window in shape.windows)
    return 6.0 * weights + 12.0 * queries * seen


def encoder_decoder_flop_per_token(shape: ModelShape) -> float:
    """The same for a token of text under span corruption, which hides 15% of it in spans of three.

    The encoder then reads 0.9 positions for each token of text, which the decoder's layers make keys of once more, and
    the decoder 0.2.
    """
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    reading, asking = 2 * shape.hidden_size * keys, 2 * shape.hidden_size * queries
    feed_forward = 3 * shape.hidden_size * shape.intermediate_size
    in_encoder = shape.layers * (2 * reading + asking + feed_forward)
    in_decoder = shape.layers * (reading + 2 * asking + feed_forward) + shape.vocab_size * shape.hidden_size
    attention = 12.0 * queries * shape.layers * shape.context * (0.9 * 0.9 + 0.2 * 0.2 + 0.2 * 0.9)
    return 6.0 * (0.9 * in_encoder + 0.2 * in_decoder) + attention


def peak_flop_per_second(device: torch.device, dtype: torch.dtype) -> float | None:
    """The most FLOP a second that one process's device could do in `dtype`; None where that is not known."""
    if device.type == "cpu":
        return _measured_peak(dtype)
    return named_peak(torch.cuda.get_device_name(device)) if dtype == torch.bfloat16 else None


def named_peak(device_name: str) -> float | None:
    """The dense bfloat16 rate of a GPU, FLOP a second, by the name that its driver gives; None if it is not listed."""
    if "laptop" in device_name.lower():
        return None  # sold under the names of faster ones
    found = (peak for name, peak in _BFLOAT16_PEAKS if re.search(rf"\b{name}\b", device_name, re.IGNORECASE))
    return next(found, None)


def _measured_peak(dtype: torch.dtype) -> float:
    """The fastest of a few matrix products: about 40 ms in float32 on one core."""
    matrix = torch.ones(_MEASURED_WIDTH, _MEASURED_WIDTH, dtype=dtype)
    torch.mm(matrix, matrix)
    seconds = []
    for _ in range(_MEASURED_TIMES):
        began = time.perf_counter()
        torch.mm(matrix, matrix)
        seconds.append(time.perf_counter() - began)
    return 2.0 * _MEASURED_WIDTH**3 / min(seconds)
