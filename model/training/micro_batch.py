"""Micro-batches: how a process cuts its share of a step into passes, and the search for the largest that fits.

Notable:
- The cut never changes the gradient, only memory and pace: the loss is divided by the tokens of the whole step.
- The search tries a pass of full sequences, forward and backward, without exchanging gradients, so a process that runs
  out of memory leaves no other one waiting. Then the processes compare, and all halve or none.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor, nn

from model.base.config import LoopConfig, ModelShape
from model.base.errors import BadInput
from model.data.packed_sequences import IGNORED, Batch

_SEARCHED = -1


class MicroBatch:
    """The rows of one pass on one process, the same on all of them."""

    def __init__(self, loop: LoopConfig, processes: int) -> None:
        self._share = -(-loop.global_batch_size // processes)
        self._document_mask = loop.document_mask
        self._searching = loop.micro_batch == _SEARCHED
        self.rows = self._share if loop.micro_batch in (0, _SEARCHED) else loop.micro_batch
        """Sequences of one pass."""
        self.evaluated_rows = self.rows if loop.micro_batch else loop.global_batch_size
        """Sequences of one pass of an evaluation."""

    @property
    def passes(self) -> int:
        """Passes of a step, the same number on every process, whatever its share."""
        return -(-self._share // self.rows)

    @property
    def searching(self) -> bool:
        """Whether `search` is to be called before the next step."""
        return self._searching

    def search(self, accelerator: Accelerator, model: nn.Module, shape: ModelShape, has_state: bool) -> int:
        """Halve the rows until a pass fits into memory on every process; return them. Every process calls this.

        To be called before the first step, and again before the second one, when the optimizer's state is in memory.

        Args:
            accelerator: knows the processes and the device.
            model: as it is trained; its gradients are cleared.
            shape: gives the length of a full sequence.
            has_state: whether the optimizer's state is in memory.

        Raises:
            BadInput: not even one sequence fits.
        """
        while not self._fits(accelerator, model, shape):
            if self.rows == 1:
                raise BadInput(
                    f"not even one sequence of shape.context = {shape.context} tokens fits into the memory of "
                    f"{accelerator.device}; make the model or its context smaller, or take a device with more memory"
                )
            self.rows = -(-self.rows // 2)
        self.evaluated_rows = self.rows
        self._searching = not has_state
        return self.rows

    def cut(self, batch: Batch, number: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return inputs, targets and segments of pass `number` of a process's share of a step."""
        first, last = number * self.rows, (number + 1) * self.rows
        inputs, targets = batch.inputs[first:last], batch.targets[first:last]
        segments = None if batch.segments is None or not self._document_mask else batch.segments[first:last]
        if not len(inputs):
            # This process's share has one pass fewer than the largest; it takes part with nothing to predict.
            inputs, targets = batch.inputs[:1], np.full_like(batch.targets[:1], IGNORED)
            segments = None if segments is None else batch.segments[:1]  # type: ignore[index]
        arrays = (inputs, targets, segments)
        tensors = [None if array is None else torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
        return tensors[0], tensors[1], tensors[2]  # type: ignore[return-value]

    def _fits(self, accelerator: Accelerator, model: nn.Module, shape: ModelShape) -> bool:
        fits = self._try_pass(accelerator, model, shape)
        if not fits:
            clear_device_cache(garbage_collection=True)
        failed = torch.tensor(float(not fits), device=accelerator.device)
        if accelerator.num_processes > 1:
            dist.all_reduce(failed)
        return not failed.item()

    def _try_pass(self, accelerator: Accelerator, model: nn.Module, shape: ModelShape) -> bool:
        columns = accelerator.unwrap_model(model).parts_of_row * shape.context
        tokens = torch.zeros(self.rows, columns, dtype=torch.int64, device=accelerator.device)
        segments = torch.zeros_like(tokens) if self._document_mask else None
        try:
            with accelerator.no_sync(model):
                model(tokens, tokens[:, -shape.context :], segments).backward()
        except RuntimeError as error:
            if not (isinstance(error, torch.OutOfMemoryError) or should_reduce_batch_size(error)):
                raise
            return False
        finally:
            model.zero_grad(set_to_none=True)
        return True
