"""A whole epoch of the loader in a process of its own, its memory sampled on the way.

`python -m tests.bench.training.long_epoch DATASETS CACHE CONTEXT SEQUENCES` prints one JSON object: tokens of the
epoch, seconds of this process's processor time, and MiB of memory, all of it and what is not a file's: once the cache
is open, and at twenty points of the epoch.
"""

import json
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

from model.base.sizes import ModelShape
from model.data.token_cache import open_token_cache
from model.data.token_data import open_training_data

POINTS = 20


def memory() -> tuple[float, float]:
    """Resident memory of this process in MiB: all, and what is not backed by a file."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) / 1024, int(lines["RssAnon"].split()[0]) / 1024


def main(datasets: Path, cache: Path, context: int, sequences: int) -> None:
    """Read every batch of one epoch."""
    shape = ModelShape(
        vocab_size=32768,
        layers=1,
        hidden_size=2,
        heads=1,
        kv_heads=1,
        intermediate_size=2,
        context=context,
        tied_embeddings=True,
    )
    data, _ = open_training_data(
        open_token_cache(datasets / "tokens", cache), datasets / "packing", shape, sequences, seed=1
    )
    steps = pq.read_metadata(datasets / "packing" / "part-00000.parquet").num_rows // sequences
    samples = [memory()]
    tokens, began = 0, time.process_time()
    for step in range(steps):
        tokens += data.batch(step, 0, 1).tokens_in_step
        if (step + 1) * POINTS // steps > step * POINTS // steps:
            samples.append(memory())
    resident, anonymous = zip(*samples, strict=True)
    seconds = time.process_time() - began
    print(json.dumps({"tokens": tokens, "seconds": seconds, "resident": resident, "anonymous": anonymous}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
