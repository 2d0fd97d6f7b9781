"""The most arithmetic that this process's device can do in a second, by which utilization (MFU) is measured.

Notable: a GPU's peak is its datasheet's dense bfloat16 rate. A CPU has no such number: its own matrix product is timed,
so its utilization is a share of what that reaches.
"""

from __future__ import annotations

import time

import torch

from model.metrics.gpus import named_peak

_MEASURED_SIZE = 1024
_MEASURED_TIMES = 5


def peak_flop_per_second(device: torch.device, dtype: torch.dtype) -> float | None:
    """Return the most FLOP/s that one process's device can do in `dtype`; None where that is not known."""
    if device.type == "cpu":
        return _measured_peak(dtype)
    return named_peak(torch.cuda.get_device_name(device)) if dtype == torch.bfloat16 else None


def _measured_peak(dtype: torch.dtype) -> float:
    """Time a few matrix products and take the fastest: about 40 ms in float32 on one core."""
    matrix = torch.ones(_MEASURED_SIZE, _MEASURED_SIZE, dtype=dtype)
    torch.mm(matrix, matrix)
    seconds = []
    for _ in range(_MEASURED_TIMES):
        began = time.perf_counter()
        torch.mm(matrix, matrix)
        seconds.append(time.perf_counter() - began)
    return 2.0 * _MEASURED_SIZE**3 / min(seconds)
