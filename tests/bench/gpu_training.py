"""Training and decoding on one GPU beside other loops: tokens/s, share of the datasheet's rate (MFU), memory, kernels.

    python -m tests.bench.gpu_training --out FOLDER          one GPU with 80 GB; ten minutes at the most
    python -m tests.bench.gpu_training --sizes tiny          checks this program itself, on a CPU

Notable:
- Each measurement has a process of its own, so that none inherits another's memory or threads. Compiled code is kept on
  disk: `--compile-ahead N` lets N processes at a time compile first, while nothing is being measured.
- A result is printed, and written to FOLDER/results.jsonl, as soon as it is there; what would outlast `--budget` is
  ended and says so. FOLDER/log.txt has what the processes wrote.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from model.config import ModelShape
from tests.bench.packed_corpus import Sizes

SIZES = {
    "tiny": Sizes(
        ModelShape(vocabulary_size=2048, layers=2, width=64, heads=2, kv_heads=1, feed_forward_width=128, context=128),
        4,
    ),
    "124M": Sizes(
        ModelShape(
            vocabulary_size=50_304, layers=12, width=768, heads=12, kv_heads=12, feed_forward_width=2048, context=2048
        ),
        32,
    ),
    "1B": Sizes(
        ModelShape(
            vocabulary_size=32_768, layers=20, width=2048, heads=16, kv_heads=16, feed_forward_width=5632, context=2048
        ),
        8,
    ),
}
"""Shapes, and the sequences of a step, which is one pass."""
OURS = ("bfloat16", "causal", "float8", "muon", "nccl")
"""Our loop with AdamW and the document mask; plainly causal; with float8; with Muon; under DDP on NCCL, alone in it."""
RIVALS = ("nanogpt", "transformers")
"""A loop like nanoGPT's, and one around transformers' Qwen3, each compiled whole."""
WAYS = (*OURS, *RIVALS, "optimizers", "decode", "decode-transformers")
"""Ways to train; the step of each optimizer alone; tokens/s of generation, ours and transformers'."""


def main() -> None:
    """Measures what is asked for, size by size, way by way."""
    arguments = _arguments()
    if arguments.here:
        print(json.dumps(measure(arguments.sizes[0], arguments.ways[0], arguments.steps)))
        return
    ends = time.monotonic() + arguments.budget
    pairs = [(size, way) for size in arguments.sizes for way in arguments.ways]
    if arguments.compile_ahead:
        compiled = [(size, way) for size, way in pairs if way in OURS + RIVALS]
        with ThreadPoolExecutor(arguments.compile_ahead) as pool:
            list(pool.map(lambda pair: in_a_process_of_its_own(*pair, steps=1, seconds=arguments.each), compiled))
    for size, way in pairs:
        seconds = min(arguments.each, ends - time.monotonic())
        result = in_a_process_of_its_own(size, way, arguments.steps, seconds, arguments.out)
        kernels = result.pop("kernels", "")
        line = json.dumps({"size": size, "way": way, **result})
        print(line, kernels, sep="\n" if kernels else "", flush=True)
        if arguments.out is not None:
            with (arguments.out / "results.jsonl").open("a") as file:
                file.write(line + "\n")


def in_a_process_of_its_own(
    size: str, way: str, steps: int, seconds: float = 600.0, folder: Path | None = None
) -> dict[str, Any]:
    """What `measure` finds; or, under `failed`, the last line that it wrote.

    Args:
        size: of `SIZES`.
        way: of `WAYS`.
        steps: to measure, after those that warm up.
        seconds: after which it is ended.
        folder: for a log of what it writes to stderr; None for none.
    """
    if seconds <= 0:
        return {"failed": "no time was left"}
    command = [sys.executable, "-m", "tests.bench.gpu_training", "--here", "--sizes", size, "--ways", way]
    alone = _alone_in_a_group() if way == "nccl" else {}
    began = time.monotonic()
    try:
        done = subprocess.run(
            [*command, "--steps", str(steps)],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env=os.environ | alone,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {seconds:.0f} s"}
    if folder is not None:
        with (folder / "log.txt").open("a") as log:
            log.write(f"== {size} {way}, {time.monotonic() - began:.0f} s\n{done.stderr[-100_000:]}\n")
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(size: str, way: str, steps: int) -> dict[str, Any]:
    """The numbers of one way at one size, in this very process."""
    # Imported here, so that the program that starts the others holds no memory of the GPU.
    if way.startswith("decode"):
        from tests.bench.gpu_decode import decode_rates

        return decode_rates(SIZES[size].shape, "transformers" if way.endswith("transformers") else "ours", steps)
    from tests.bench import gpu_ways

    if way == "optimizers":
        return gpu_ways.optimizer_milliseconds(SIZES[size].shape, steps)
    return gpu_ways.training(SIZES[size], way, steps)


def _alone_in_a_group() -> dict[str, str]:
    """The environment of the only process of a group, as a launcher sets it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
    return ranks | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=sorted(SIZES), default=["124M", "1B"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--steps", type=int, default=20, help="steps that are measured, after those that warm up")
    parser.add_argument("--budget", type=float, default=570.0, help="seconds for everything but compiling ahead")
    parser.add_argument("--each", type=float, default=150.0, help="seconds for one measurement")
    parser.add_argument("--compile-ahead", type=int, default=0, metavar="N", help="processes that compile at a time")
    parser.add_argument("--out", type=Path, help="an existing folder for results.jsonl and log.txt")
    parser.add_argument("--here", action="store_true", help="measure one way at one size in this very process")
    return parser.parse_args()


if __name__ == "__main__":
    main()
