"""Training and decoding on one GPU beside other loops: tokens/s, share of the datasheet's rate (MFU), memory, kernels.

    python -m tests.bench.gpu.training --out FOLDER          one GPU with 80 GB; ten minutes at the most
    python -m tests.bench.gpu.training --sizes tiny          checks this program itself, on a CPU

Notable:
- Each measurement has a process of its own, so that none inherits another's memory or threads. The next one starts and
  writes its data while one measures, and waits for its turn before it touches the GPU.
- Compiled code is kept on disk: `--compile-ahead N` lets N processes at a time compile first, while none measures.
- A result is printed, and written to FOLDER/results.jsonl, as soon as it is there; what would outlast `--budget` is
  ended and says so. FOLDER/log.txt has what the processes wrote.
"""

import argparse
import fcntl
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from model.base.sizes import ModelShape
from tests.bench.training.packed_corpus import Sizes

SIZES = {
    "tiny": Sizes(
        ModelShape(
            vocab_size=2048,
            layers=2,
            hidden_size=64,
            heads=2,
            kv_heads=1,
            intermediate_size=128,
            context=128,
            tied_embeddings=True,
        ),
        4,
    ),
    "124M": Sizes(
        ModelShape(
            vocab_size=50_304,
            layers=12,
            hidden_size=768,
            heads=12,
            kv_heads=12,
            intermediate_size=2048,
            context=2048,
            tied_embeddings=True,
        ),
        32,
    ),
    "1B": Sizes(
        ModelShape(
            vocab_size=32_768,
            layers=20,
            hidden_size=2048,
            heads=16,
            kv_heads=16,
            intermediate_size=5632,
            context=2048,
            tied_embeddings=True,
        ),
        8,
    ),
}
"""Shapes, and the sequences of a step, which is one pass."""
OURS = ("bfloat16", "causal", "float8", "muon", "nccl")
"""Our loop with AdamW and the document mask; plainly causal; with float8; with Muon; under DDP on NCCL, alone in it."""
RIVALS = ("nanogpt", "transformers")
"""A loop like nanoGPT's, and one around transformers' Qwen3, each compiled whole."""
SAME_CODE = ("muon", "nccl")
"""Ways that compile what `bfloat16` does."""
AT_WORK = 2
"""Processes at a time: one that measures, and one that gets ready."""
WAYS = ("bfloat16", *RIVALS, "float8", "decode", "decode-transformers", "causal", "muon", "nccl", "optimizers")
"""All of those, the step of each optimizer alone, and generation by ours and transformers; what matters most first."""


def main() -> None:
    """Measures what is asked for, way by way: the first ones at every size before the next."""
    arguments = _arguments()
    if arguments.here:
        print(json.dumps(measure(arguments.sizes[0], arguments.ways[0], arguments.steps, arguments.turn)))
        return
    ends = time.monotonic() + arguments.budget
    pairs = [(size, way) for way in arguments.ways for size in arguments.sizes]
    if arguments.compile_ahead:
        compiled = [(size, way) for size, way in pairs if way in OURS + RIVALS and way not in SAME_CODE]
        with ThreadPoolExecutor(arguments.compile_ahead) as pool:
            list(pool.map(lambda pair: in_a_process_of_its_own(pair[0], pair[1], 0, arguments.each), compiled))
    with tempfile.NamedTemporaryFile(prefix="gpu-turn-") as turn, ThreadPoolExecutor(AT_WORK) as pool:

        def measured(pair: tuple[str, str]) -> dict[str, Any]:
            seconds = min(arguments.each, ends - time.monotonic())
            return in_a_process_of_its_own(*pair, arguments.steps, seconds, arguments.out, Path(turn.name))

        for pair, result in zip(pairs, pool.map(measured, pairs), strict=True):
            _show(*pair, result, arguments.out)


def _show(size: str, way: str, result: dict[str, Any], folder: Path | None) -> None:
    kernels = result.pop("kernels", "")
    line = json.dumps({"size": size, "way": way, **result})
    print(line, kernels, sep="\n" if kernels else "", flush=True)
    if folder is not None:
        with (folder / "results.jsonl").open("a") as file:
            file.write(line + "\n")


def in_a_process_of_its_own(
    size: str, way: str, steps: int, seconds: float = 600.0, folder: Path | None = None, turn: Path | None = None
) -> dict[str, Any]:
    """What `measure` finds; or, under `failed`, the last line that it wrote.

    Args:
        size: of `SIZES`.
        way: of `WAYS`.
        steps: to measure, after those that warm up; 0 only compiles.
        seconds: after which it is ended.
        folder: for a log of what it writes to stderr; None for none.
        turn: the file that the process that measures has locked; None where there is no other.
    """
    if seconds <= 0:
        return {"failed": "no time was left"}
    command = [sys.executable, "-m", "tests.bench.gpu.training", "--here", "--sizes", size, "--ways", way]
    command += ["--steps", str(steps), *(["--turn", str(turn)] if turn else [])]
    alone = _alone_in_a_group() if way == "nccl" else {}
    began = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds, env=os.environ | alone
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


def measure(size: str, way: str, steps: int, turn: Path | None) -> dict[str, Any]:
    """The numbers of one way at one size, in this very process."""
    alone = nullcontext() if turn is None else _locked(turn)
    # Imported here, so that the program that starts the others holds no memory of the GPU.
    if way.startswith("decode"):
        from tests.bench.gpu.decode import decode_rates

        whose = "transformers" if way.endswith("transformers") else "ours"
        return decode_rates(SIZES[size].shape, whose, steps, alone)
    from tests.bench.gpu import ways

    if way == "optimizers":
        return ways.optimizer_milliseconds(SIZES[size].shape, steps, alone)
    return ways.training(SIZES[size], way, steps, alone)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
    parser.add_argument("--budget", type=float, default=570.0, help="seconds, after which nothing more is measured")
    parser.add_argument("--each", type=float, default=150.0, help="seconds for one measurement, its waiting included")
    parser.add_argument("--compile-ahead", type=int, default=0, metavar="N", help="processes that compile at a time")
    parser.add_argument("--out", type=Path, help="an existing folder for results.jsonl and log.txt")
    parser.add_argument("--turn", type=Path, help="with --here: the file to lock while the GPU is used")
    parser.add_argument("--here", action="store_true", help="measure one way at one size in this very process")
    return parser.parse_args()


if __name__ == "__main__":
    main()
