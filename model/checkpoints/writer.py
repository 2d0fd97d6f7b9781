"""The writer of a run's checkpoints; large ones are written in the background while training goes on.

Notable:
- A background write saves a copy of the state, taken between two steps; the next save waits for the one before it.
- It has its own process group, so that its exchanges never mix with the training's.
- Its errors are raised by the next `save` or `wait`, on every process.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.staging import BlockingAsyncStager
from torch.optim import Optimizer

from model.base.config import LoopConfig
from model.checkpoints.checkpointing import training_state, write_checkpoint
from model.checkpoints.progress import Progress


class CheckpointWriter:
    """Writes one checkpoint at a time into one folder. Every process has one and makes the same calls."""

    def __init__(self, folder: Path, loop: LoopConfig) -> None:
        """Write into `folder`; `loop` says how many to keep, and which are large enough for the background."""
        self._folder, self._keep = folder, loop.keep_checkpoints
        self._background_bytes = loop.background_checkpoint_mib << 20
        self._group = dist.new_group(backend="gloo") if dist.is_initialized() else None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[Path] | None = None

    def save(self, progress: Progress, model: nn.Module, optimizers: list[Optimizer], at_once: bool) -> None:
        """Save a checkpoint; it is on disk on return if `at_once` is set or if it is small.

        Raises BadInput if this checkpoint, or the one before it, could not be written.
        """
        self.wait()
        state = training_state(model, optimizers)
        # Weights, momentum and squared mean, over all processes: the same number on each.
        size = sum(3 * parameter.numel() * parameter.element_size() for parameter in model.parameters())
        if at_once or size < self._background_bytes:
            write_checkpoint(self._folder, progress, state, self._keep, self._group)
            return
        copy = BlockingAsyncStager().stage(state)
        self._pending = self._thread.submit(write_checkpoint, self._folder, progress, copy, self._keep, self._group)

    def wait(self) -> None:
        """Wait until what was saved is on disk; raises BadInput if it could not be written."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Finish the checkpoint that is being written."""
        self._thread.shutdown()
        if self._group is not None:
            dist.destroy_process_group(self._group)
