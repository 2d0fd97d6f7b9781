"""Which device a program outside accelerate runs on, and how many CPU threads a process takes."""

from __future__ import annotations

import os

import torch


def best_device() -> torch.device:
    """The first GPU, or the CPU where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def use_threads(threads: int) -> None:
    """Takes `threads` CPU threads, or with 0 this process's share of the cores.

    Said aloud, because `accelerate launch` sets OMP_NUM_THREADS to 1 unless it was told `--cpu`.
    """
    torch.set_num_threads(threads or max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def available_cores() -> int:
    """CPU cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
