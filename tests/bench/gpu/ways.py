"""One way of training, measured in this process (see gpu_training.py), and the optimizers' steps alone."""

import dataclasses
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
from accelerate import Accelerator
from torch import nn
from torch.profiler import ProfilerActivity, profile

from model.base.config import LoopConfig
from model.base.learning_config import OptimizerConfig, ScheduleConfig
from model.base.sizes import ModelShape
from model.checkpoints.writer import CheckpointWriter
from model.metrics.device_peak import peak_flop_per_second
from model.metrics.flops import flop_per_token
from model.network.transformer import Transformer
from model.objectives.objectives import CAUSAL
from model.training.optimizer import build_optimizers
from model.training.training_loop import Run, start_accelerator
from tests.bench.gpu.kernels import KernelTimes, kernel_times
from tests.bench.training.our_training import trained
from tests.bench.training.packed_corpus import Sizes, open_packed_corpus, write_packed_corpus
from tests.bench.training.rival_training import Rival, nanogpt_style, rival_steps, transformers_style

WARMUP = 5
PROFILED = 6
"""Steps of the run whose kernels are timed, those that warm up included."""
GPU = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def training(sizes: Sizes, way: str, steps: int, turn: AbstractContextManager[object]) -> dict[str, Any]:
    """tokens/s, MFU, peak memory in GiB and, for our first way, the kernels.

    Args:
        sizes: of the model and of a step.
        way: of `gpu_training.WAYS`.
        steps: to measure; 0 only compiles.
        turn: entered before the GPU is used.
    """
    with tempfile.TemporaryDirectory(prefix="gpu-training-") as name:
        folder = Path(name)
        write_packed_corpus(folder, documents=3 * (WARMUP + steps) * sizes.sequences, context=sizes.shape.context)
        with turn:
            if way in ("nanogpt", "transformers"):
                return _numbers(sizes, way, rival_rate(folder, sizes, way, steps))
            accelerator = start_accelerator(_loop(sizes, way, steps))
            found = _numbers(sizes, way, our_rate(accelerator, folder, sizes, way, WARMUP + steps))
            if way == "bfloat16" and steps:
                found |= dataclasses.asdict(kernels(accelerator, folder, sizes, way))
            return found


def our_rate(accelerator: Accelerator, corpus: Path, sizes: Sizes, way: str, steps: int) -> float:
    """Tokens/s of the whole training loop, the median of the steps after those that warm up.

    The checkpoint at the end, outside of what is measured, is left out: it is 12 GB at 1B.
    """
    loop = _loop(sizes, way, steps)
    data, digest, _ = open_packed_corpus(corpus, sizes)
    run = Run(
        folder=Path(tempfile.mkdtemp(prefix="model-", dir=corpus)),
        shape=sizes.shape,
        loop=loop,
        optimizer=OptimizerConfig(name="muon" if way == "muon" else "adamw", lr=3e-4),
        schedule=ScheduleConfig(warmup_steps=5),
        data=data,
        data_digest=digest,
        initialise=fill,
        objective=dataclasses.replace(CAUSAL, build=on_the_gpu),
    )
    with patch.object(CheckpointWriter, "save"):
        rates = [line["tokens_per_second"] for line in trained(accelerator, run, "step")]
    return float(median(rates[WARMUP:] or rates))


def on_the_gpu(shape: ModelShape, dtype: torch.dtype) -> Transformer:
    """A model made where it is trained: a billion weights take a CPU half a minute to draw."""
    with GPU:
        return Transformer(shape, dtype)


@torch.no_grad()
def fill(model: nn.Module) -> None:
    """Fills in weights without any zeros: products of zeros are faster."""
    for parameter in model.parameters():
        if parameter.ndim < 2:
            parameter.fill_(1.0)
        else:
            parameter.normal_(0.0, 0.02)


def kernels(accelerator: Accelerator, corpus: Path, sizes: Sizes, way: str) -> KernelTimes:
    """Where the time of a step goes, in a few more steps with the compiled code of the first run at hand."""
    activity = ProfilerActivity.CUDA if GPU.type == "cuda" else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiler:
        our_rate(accelerator, corpus, sizes, way, PROFILED)
    return kernel_times(profiler)


def rival_rate(corpus: Path, sizes: Sizes, way: str, steps: int) -> float:
    """Tokens/s of a plain loop around another model, compiled whole; documents are not hidden from each other."""
    tokens = open_packed_corpus(corpus, sizes)[2]
    with GPU:
        rival = (nanogpt_style if way == "nanogpt" else transformers_style)(sizes.shape)
    if GPU.type == "cuda":
        rival = Rival(rival.model, torch.compile(rival.loss))
    losses = rival_steps(rival, tokens, sizes, lambda step: 3e-4, GPU)
    for _ in range(WARMUP):
        next(losses)
    steps = max(1, steps)
    # Nothing waits for the GPU between the steps: nanoGPT looks at a loss now and then only.
    _wait()
    began = time.perf_counter()
    for _ in range(steps):
        next(losses)
    _wait()
    return steps * sizes.tokens_per_step / (time.perf_counter() - began)


def optimizer_milliseconds(shape: ModelShape, steps: int, turn: AbstractContextManager[object]) -> dict[str, Any]:
    """Milliseconds of one step of the optimizers of each name, for all weights of the model."""
    with turn:
        return {f"{name}_ms": round(1000 * _optimizer_seconds(shape, name, steps), 3) for name in ("adamw", "muon")}


def _optimizer_seconds(shape: ModelShape, name: str, steps: int) -> float:
    model = on_the_gpu(shape, torch.bfloat16)
    fill(model)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter) * 1e-3
    optimizers = build_optimizers(model, OptimizerConfig(name=name, lr=3e-4), torch.bfloat16)  # type: ignore[arg-type]
    seconds = []
    for _ in range(3 + steps):
        _wait()
        began = time.perf_counter()
        for optimizer in optimizers:
            optimizer.step()
        _wait()
        seconds.append(time.perf_counter() - began)
    return median(seconds[3:])


def _loop(sizes: Sizes, way: str, steps: int) -> LoopConfig:
    return LoopConfig(
        steps=steps,
        global_batch_size=sizes.sequences,
        compile=GPU.type == "cuda",
        float8=way == "float8",
        document_mask=way != "causal",
        checkpoint_every=steps,
    )


def _numbers(sizes: Sizes, way: str, rate: float) -> dict[str, Any]:
    shape = sizes.shape
    if way == "nanogpt":
        # Two matrices of four times the width are three of 8/3 of it.
        shape = dataclasses.replace(shape, kv_heads=shape.heads, intermediate_size=8 * shape.hidden_size // 3)
    peak = peak_flop_per_second(GPU, torch.bfloat16)
    memory = torch.cuda.max_memory_allocated() if GPU.type == "cuda" else 0
    return {
        "card": torch.cuda.get_device_name(GPU) if GPU.type == "cuda" else "CPU",
        "tokens_per_second": round(rate),
        "mfu": round(rate * flop_per_token(shape) / peak, 4) if peak else None,
        "memory_gib": round(memory / 2**30, 2),
    }


def _wait() -> None:
    if GPU.type == "cuda":
        torch.cuda.synchronize()
