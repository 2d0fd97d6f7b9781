"""GPUs as the planner sees them: a rate, a memory and a price, from a table with its sources (gpus.yaml) or as given.

Notable: a GPU that the table does not have is described by two numbers, such as `400TFLOP/s,48GiB`.
"""

from __future__ import annotations

import difflib
import re
from functools import cache
from importlib import resources

import yaml

from tasks.base.config import Config
from tasks.base.errors import UsageError

_DESCRIBED = re.compile(r"([\d.]+)\s*TFLOP(?:S|/s)?\s*[,/ ]\s*([\d.]+)\s*(GiB|GB)", re.IGNORECASE)
_GIB = 2**30


class Gpu(Config):
    """One kind of GPU."""

    name: str
    flop_per_second: float
    """Dense bfloat16 peak."""
    memory_bytes: int
    usd_per_hour: float | None
    """What renting one costs for an hour, roughly; None where nobody said."""
    source: str
    """Where the peak and the memory are from."""


class _Row(Config):
    """A GPU as the table has it."""

    teraflops: float
    memory_gb: float
    usd_per_hour: float
    source: str


@cache
def known_gpus() -> dict[str, Gpu]:
    """The GPUs of the table, by name."""
    text = (resources.files("flows.planning") / "gpus.yaml").read_text(encoding="utf-8")
    rows = {name: _Row.model_validate(values) for name, values in yaml.safe_load(text).items()}
    return {
        name: Gpu(
            name=name,
            flop_per_second=row.teraflops * 1e12,
            memory_bytes=int(row.memory_gb * 1e9),
            usd_per_hour=row.usd_per_hour,
            source=row.source,
        )
        for name, row in rows.items()
    }


def find_gpu(asked: str) -> Gpu:
    """A GPU by its name in the table, or described as `400TFLOP/s,48GiB`. Raises `UsageError` for anything else."""
    known = known_gpus()
    if found := known.get(asked.strip().lower()):
        return found
    if described := _DESCRIBED.fullmatch(asked.strip()):
        rate, memory, unit = float(described[1]), float(described[2]), described[3].lower()
        if rate > 0 and memory > 0:
            return Gpu(
                name=asked.strip(),
                flop_per_second=rate * 1e12,
                memory_bytes=int(memory * (_GIB if unit == "gib" else 1e9)),
                usd_per_hour=None,
                source="as given",
            )
    near = difflib.get_close_matches(asked.lower(), known, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else "."
    raise UsageError(
        f"--gpu: no GPU is known as {asked!r}{meant} There are: {', '.join(known)}; or describe one by its dense"
        " bfloat16 rate and its memory, such as 400TFLOP/s,48GiB."
    )
