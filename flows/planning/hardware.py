"""The GPU that a plan is for: one that the table knows (model/metrics/gpus.yaml), or one described by two numbers."""

import re

from model.base.errors import did_you_mean
from model.metrics.gpus import Gpu, known_gpus
from tasks.base.errors import UsageError

_DESCRIBED = re.compile(r"([\d.]+)\s*TFLOP(?:S|/s)?\s*[,/ ]\s*([\d.]+)\s*(GiB|GB)", re.IGNORECASE)


def find_gpu(asked: str) -> Gpu:
    """Return a GPU by its name in the table, or described as `400TFLOP/s,48GiB`; raises `UsageError` otherwise."""
    known = known_gpus()
    if found := known.get(asked.strip().lower()):
        return found
    if described := _DESCRIBED.fullmatch(asked.strip()):
        rate, memory = float(described[1]), float(described[2])
        if rate > 0 and memory > 0:
            return Gpu(
                name=asked.strip(),
                flop_per_second=rate * 1e12,
                memory_bytes=int(memory * (2**30 if described[3].lower() == "gib" else 1e9)),
                usd_per_hour=None,
                source="as given",
            )
    raise UsageError(
        f"--gpu: no GPU is known as {asked!r}{did_you_mean(asked.lower(), known)}. There are: {', '.join(known)}; or"
        " describe one by its dense bfloat16 rate and its memory, such as 400TFLOP/s,48GiB."
    )
