"""The device that a program uses outside accelerate, and how a process uses the CPU's cores and memory."""

import ctypes
import os
import sys

import torch

# From glibc's malloc.h; the largest threshold is half of its largest heap.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGEST_MMAP_THRESHOLD = 1 << 25
_NEVER_TRIM = -1


def best_device() -> torch.device:
    """Return the first GPU, or the CPU where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def activation_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the type of the activations on `device`: that of `precision`, or float32 where bfloat16 is only slower.

    A CPU without bfloat16 instructions multiplies in bfloat16 at a sixth of its float32 rate (measured with AVX2), so
    its activations are float32, which is also more exact.
    """
    dtype: torch.dtype = getattr(torch, precision)
    return torch.float32 if device.type == "cpu" and not _multiplies_bfloat16() else dtype


def _multiplies_bfloat16() -> bool:
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def use_threads(threads: int) -> None:
    """Use `threads` CPU threads, or with 0 this process's share of the cores.

    It has to be set, because `accelerate launch` sets OMP_NUM_THREADS to 1 unless it gets `--cpu`.
    """
    torch.set_num_threads(threads or max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the next step instead of returning it to the kernel.

    A training step allocates the same large tensors again and again; without this the kernel clears fresh pages for
    each, which took an eighth of a step on a CPU. Does nothing on other C libraries.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM)


def available_cores() -> int:
    """Return the number of CPU cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
