"""The GPUs that planning and the metrics log know, from one table with its sources (gpus.yaml). Needs no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

_TABLE = Path(__file__).with_name("gpus.yaml")


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


@cache
def known_gpus() -> dict[str, Gpu]:
    """Return the GPUs of the table, by name."""
    return {
        name: Gpu(
            name=name,
            flop_per_second=row["teraflops"] * 1e12,
            memory_bytes=int(row["memory_gb"] * 1e9),
            usd_per_hour=row.get("usd_per_hour"),
            source=row["source"],
        )
        for name, row in yaml.safe_load(_TABLE.read_text(encoding="utf-8")).items()
    }


def named_peak(device_name: str) -> float | None:
    """Return the dense bfloat16 peak, in FLOP/s, of the GPU that its driver calls `device_name`; None if not known."""
    if "laptop" in device_name.lower():
        return None  # sold under the names of faster ones
    found = [
        gpu
        for gpu in known_gpus().values()
        if re.search(rf"\b{gpu.name.replace('-', ' ')}\b", device_name, re.IGNORECASE)
    ]
    return max(found, key=lambda gpu: len(gpu.name)).flop_per_second if found else None
