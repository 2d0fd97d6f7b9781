"""Which device a program outside accelerate runs on, and how a process uses the CPU's cores and memory."""

from __future__ import annotations

import ctypes
import os
import sys

import torch

# From glibc's malloc.h; the largest threshold it takes is half of its largest heap.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGEST_MMAP_THRESHOLD = 1 << 25
_NEVER_TRIM = -1


def best_device() -> torch.device:
    """The first GPU, or the CPU where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def use_threads(threads: int) -> None:
    """Takes `threads` CPU threads, or with 0 this process's share of the cores.

    Said aloud, because `accelerate launch` sets OMP_NUM_THREADS to 1 unless it was told `--cpu`.
    """
    torch.set_num_threads(threads or max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def keep_freed_memory() -> None:
    """Tells glibc to keep freed memory for the next step instead of giving it back to the kernel.

    A training step allocates the same large tensors again and again; without this the kernel hands out and clears fresh
    pages for each, which was measured to take an eighth of a step on a CPU. Does nothing on other C libraries.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM)


def available_cores() -> int:
    """CPU cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
