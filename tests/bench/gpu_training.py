"""Training on one GPU beside transformers: tokens/s, share of the datasheet's rate (MFU), memory, what takes the time.

    python -m tests.bench.gpu_training --sizes 124M 1B      one GPU with 80 GB; minutes
    python -m tests.bench.gpu_training --sizes tiny         checks this program itself, on a CPU

Notable: each way of training has a process of its own, so that none inherits another's memory or compiled code, and
both ways get the same rows of the same length in one pass. Kernels are timed in a run after the one that is measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from model.base.config import LoopConfig, ModelShape, OptimizerConfig, ScheduleConfig
from model.metrics.device_peak import peak_flop_per_second
from model.metrics.flops import flop_per_token
from model.network.transformer import initialise
from model.training.training_loop import Run, start_accelerator
from tests.bench.our_training import trained
from tests.bench.packed_corpus import Sizes, open_packed_corpus, write_packed_corpus
from tests.bench.rival_training import Rival, rival_steps, transformers_style

SIZES = {
    "tiny": Sizes(
        ModelShape(vocab_size=2048, layers=2, hidden_size=64, heads=2, kv_heads=1, intermediate_size=128, context=128),
        4,
    ),
    "124M": Sizes(
        ModelShape(
            vocab_size=50_304, layers=12, hidden_size=768, heads=12, kv_heads=12, intermediate_size=2048, context=2048
        ),
        32,
    ),
    "1B": Sizes(
        ModelShape(
            vocab_size=32_768, layers=20, hidden_size=2048, heads=16, kv_heads=16, intermediate_size=5632, context=2048
        ),
        8,
    ),
}
"""Shapes, and the sequences of a step, which is one pass."""
WAYS = ("bfloat16", "float8", "muon", "transformers")
"""Ours with AdamW, the same with float8, ours with Muon, and transformers' Qwen3 compiled whole."""
WARMUP = 5
KERNELS = 20


def main() -> None:
    """Measures every way at every size that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=sorted(SIZES), default=["124M", "1B"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--steps", type=int, default=20, help="steps that are measured, after those that warm up")
    parser.add_argument("--here", action="store_true", help="measure one way at one size in this very process")
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(measure(SIZES[arguments.sizes[0]], arguments.ways[0], arguments.steps)))
        return
    for size in arguments.sizes:
        results = {way: in_a_process_of_its_own(size, way, arguments.steps) for way in arguments.ways}
        print(f"\n{size}: {json.dumps(SIZES[size].shape.__dict__)}")
        for way, result in results.items():
            print(f"  {way:<14}" + "  ".join(f"{name} {value}" for name, value in result.items() if name != "kernels"))
        print(results.get("bfloat16", {}).get("kernels", ""))


def in_a_process_of_its_own(size: str, way: str, steps: int) -> dict[str, Any]:
    """What `measure` finds, or the last line that it wrote when it failed."""
    command = [sys.executable, "-m", "tests.bench.gpu_training", "--here", "--sizes", size, "--ways", way]
    done = subprocess.run([*command, "--steps", str(steps)], capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(sizes: Sizes, way: str, steps: int) -> dict[str, Any]:
    """tokens/s, MFU, peak memory in GiB and, for one of our ways, the table of kernels."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory(prefix="gpu-training-") as name:
        folder = Path(name)
        write_packed_corpus(folder, documents=3 * (WARMUP + steps) * sizes.sequences, context=sizes.shape.context)
        if way == "transformers":
            rate, kernels = transformers_rate(folder, sizes, steps, device), None
        else:
            rate = our_rate(folder / "measured", folder, sizes, way, WARMUP + steps)
            kernels = kernels_of(folder, sizes, way) if way == "bfloat16" and device.type == "cuda" else None
    peak = peak_flop_per_second(device, torch.bfloat16)
    memory = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    found: dict[str, Any] = {
        "tokens_per_second": round(rate),
        "mfu": round(rate * flop_per_token(sizes.shape) / peak, 4) if peak else None,
        "memory_gib": round(memory / 2**30, 2),
    }
    return found if kernels is None else found | {"kernels": kernels}


def our_rate(model_folder: Path, corpus: Path, sizes: Sizes, way: str, steps: int) -> float:
    """Tokens/s of the whole training loop, the median of the steps after those that warm up."""
    loop = LoopConfig(
        steps=steps,
        global_batch_size=sizes.sequences,
        compile=torch.cuda.is_available(),
        float8=way == "float8",
        checkpoint_every=steps,
    )
    accelerator = start_accelerator(loop)
    data, digest, _ = open_packed_corpus(corpus, sizes)
    run = Run(
        folder=model_folder,
        shape=sizes.shape,
        loop=loop,
        optimizer=OptimizerConfig(name="muon" if way == "muon" else "adamw", lr=3e-4),
        schedule=ScheduleConfig(warmup_steps=5),
        data=data,
        data_digest=digest,
        initialise=lambda model: initialise(model, 1),
    )
    rates = [line["tokens_per_second"] for line in trained(accelerator, run, "step")]
    return float(median(rates[WARMUP:] or rates))


def kernels_of(corpus: Path, sizes: Sizes, way: str) -> str:
    """The kernels that take the most time in a few more steps, compiled code of the first run at hand."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        our_rate(corpus / "profiled", corpus, sizes, way, steps=3)
    return profiler.key_averages().table(sort_by="self_device_time_total", row_limit=KERNELS, max_name_column_width=80)


def transformers_rate(corpus: Path, sizes: Sizes, steps: int, device: torch.device) -> float:
    """Tokens/s of a plain loop around transformers' Qwen3, compiled whole; documents are not hidden from each other."""
    tokens = open_packed_corpus(corpus, sizes)[2]
    rival = transformers_style(sizes.shape)
    rival.model.to(device)
    if device.type == "cuda":
        rival = Rival(rival.model, torch.compile(rival.loss))
    trained = rival_steps(rival, tokens, sizes, lambda step: 3e-4, device)
    seconds = list(_seconds(trained, WARMUP + steps))
    return sizes.tokens_per_step / median(seconds[WARMUP:])


def _seconds(steps: Iterator[float], count: int) -> Iterator[float]:
    for _ in range(count):
        began = time.perf_counter()
        next(steps)
        yield time.perf_counter() - began


if __name__ == "__main__":
    main()
