"""The GPUs that planning and the metrics log know, from one table with its sources (gpus.yaml). Needs no torch."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

_NEAR = 3.0
"""Times a measured size, up or down, that its MFU stands for."""


@dataclass(frozen=True)
class Gpu:
    """One kind of GPU."""

    name: str
    flop_per_second: float
    """Dense bfloat16 peak."""
    memory_bytes: int
    usd_per_hour: float | None
    """Roughly what renting one costs for an hour; None where no price is known."""
    source: str
    """Where the peak and the memory are from."""
    mfu: Mapping[int, float] = field(default_factory=dict)
    """Share of the peak that training reached, by the model's parameters; empty where it was not measured."""

    def measured_mfu(self, parameters: float) -> float | None:
        """Return the share of the peak measured at the size nearest to this one; None where none is near."""
        if not self.mfu or parameters <= 0:
            return None
        distance, size = min((abs(math.log(size / parameters)), size) for size in self.mfu)
        return self.mfu[size] if distance <= math.log(_NEAR) else None


@cache
def known_gpus() -> dict[str, Gpu]:
    """Return the GPUs of the table, by name."""
    rows = yaml.safe_load(Path(__file__).with_name("gpus.yaml").read_text(encoding="utf-8"))
    return {
        name: Gpu(
            name=name,
            flop_per_second=row["teraflops"] * 1e12,
            memory_bytes=int(row["memory_gb"] * 1e9),
            usd_per_hour=row.get("usd_per_hour"),
            source=row["source"],
            mfu=row.get("mfu", {}),
        )
        for name, row in rows.items()
    }


def named_peak(device_name: str) -> float | None:
    """Return the dense bfloat16 peak, in FLOP/s, of the GPU that its driver calls `device_name`; None if not known."""
    if "laptop" in device_name.lower():
        return None  # sold under the names of faster ones
    gpus = known_gpus()
    found = [name for name in gpus if re.search(rf"\b{name.replace('-', ' ')}\b", device_name, re.IGNORECASE)]
    return gpus[max(found, key=len)].flop_per_second if found else None
