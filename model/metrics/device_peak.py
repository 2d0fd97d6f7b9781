"""The most arithmetic that this process's device can do in a second, by which utilization (MFU) is measured.

Notable: a GPU's peak is its datasheet's dense bfloat16 rate. A CPU has no such number: its own matrix product is timed,
so its utilization is a share of what that reaches.
"""

import timeit

import torch

from model.metrics.gpus import named_peak


def peak_flop_per_second(device: torch.device, dtype: torch.dtype) -> float | None:
    """Return the most FLOP/s that one process's device can do in `dtype`; None where that is not known."""
    if device.type != "cpu":
        return named_peak(torch.cuda.get_device_name(device)) if dtype == torch.bfloat16 else None
    # About 40 ms in float32 on one core; the first product warms up.
    matrix = torch.ones(1024, 1024, dtype=dtype)
    seconds = timeit.repeat(lambda: torch.mm(matrix, matrix), number=1, repeat=6)
    return 2.0 * 1024**3 / min(seconds[1:])
