"""The GPUs that planning and the metrics log know, from one table with its sources (gpus.yaml). Needs no torch."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml


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
    rows = yaml.safe_load(Path(__file__).with_name("gpus.yaml").read_text(encoding="utf-8"))
    return {
        name: Gpu(name, row["teraflops"] * 1e12, int(row["memory_gb"] * 1e9), row.get("usd_per_hour"), row["source"])
        for name, row in rows.items()
    }


def named_peak(device_name: str) -> float | None:
    """Return the dense bfloat16 peak, in FLOP/s, of the GPU that its driver calls `device_name`; None if not known."""
    if "laptop" in device_name.lower():
        return None  # sold under the names of faster ones
    gpus = known_gpus()
    found = [name for name in gpus if re.search(rf"\b{name.replace('-', ' ')}\b", device_name, re.IGNORECASE)]
    return gpus[max(found, key=len)].flop_per_second if found else None
