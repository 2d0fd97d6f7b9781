"""Micro-batches: how a process cuts its share of a step into passes, and the search for the largest that fits.

Notable:
- The cut never changes the gradient, only memory and pace: the loss is divided by the tokens of the whole step.
- The search tries a pass of full sequences, forward and backward, without exchanging gradients, so a process that runs
  out of memory leaves no other one waiting. Then the processes compare, and all halve or none.
"""

from collections.abc import Iterator

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor, nn

from model.base.config import LoopConfig
from model.base.errors import BadInput
from model.base.sizes import ModelShape
from model.data.packed_sequences import IGNORED, Batch
from model.objectives.loss import Loss

_SEARCHED = -1


class MicroBatch:
    """The rows of one pass on one process, the same on all of them."""

    def __init__(self, loop: LoopConfig, processes: int, texts_of_row: int = 1) -> None:
        """Cut for so many processes; `texts_of_row` is how many texts a loss gives the model for each row."""
        self._share = -(-loop.global_batch_size // processes)
        self._document_mask, self._texts_of_row = loop.document_mask, texts_of_row
        self.searching = loop.micro_batch == _SEARCHED
        """Whether `search` is to be called before the next step."""
        self.rows = self._share if loop.micro_batch in (0, _SEARCHED) else loop.micro_batch
        """Sequences of one pass."""
        self.evaluated_rows = self.rows if loop.micro_batch else loop.global_batch_size
        """Sequences of one pass of an evaluation."""

    @property
    def passes(self) -> int:
        """Passes of a step, the same number on every process, whatever its share."""
        return -(-self._share // self.rows)

    def search(self, accelerator: Accelerator, model: nn.Module, shape: ModelShape, has_state: bool) -> int:
        """Halve the rows until a pass fits into memory on every process; return them. Every process calls this.

        To be called before the first step, and again before the second one, when the optimizer's state is in memory
        (`has_state`). The model's gradients are cleared. Raises BadInput if not even one sequence fits.
        """
        while not self._fits(accelerator, model, shape):
            if self.rows == 1:
                raise BadInput(
                    f"not even one sequence of shape.context = {shape.context} tokens fits into the memory of "
                    f"{accelerator.device}; make the model or its context smaller, or take a device with more memory"
                )
            self.rows = -(-self.rows // 2)
        self.evaluated_rows = self.rows
        self.searching = not has_state
        return self.rows

    def passes_of(self, batch: Batch, device: torch.device) -> Iterator[tuple[Tensor | None, ...]]:
        """Yield the passes of a process's share of a step, on its device."""
        for number in range(self.passes):
            yield tuple(None if tensor is None else _moved(tensor, device) for tensor in self.cut(batch, number))

    def cut(self, batch: Batch, number: int) -> tuple[Tensor | None, ...]:
        """Return inputs, targets, segments and columns of pass `number` of a process's share of a step."""
        rows = slice(number * self.rows, (number + 1) * self.rows)
        targets = batch.targets[rows]
        if not len(targets):
            # This process's share has one pass fewer than the largest; it takes part with nothing to predict.
            rows = slice(1)
            targets = np.full_like(batch.targets[rows], IGNORED)
        segments = batch.segments if self._document_mask else None
        return (
            torch.from_numpy(batch.inputs[rows]),
            torch.from_numpy(targets),
            None if segments is None else torch.from_numpy(segments[rows]),
            *(torch.from_numpy(column[rows]) for column in batch.columns),
        )

    @torch.no_grad()
    def step_mean(self, accelerator: Accelerator, model: nn.Module, loss: Loss, batch: Batch) -> tuple[Tensor, ...]:
        """Return the mean of `loss.whole_step` over a step, the same on every process; nothing where there is none."""
        if loss.whole_step is None:
            return ()
        total = torch.zeros((), device=accelerator.device)
        for tensors in self.passes_of(batch, accelerator.device):
            total += loss.whole_step(model, *tensors)
        return (accelerator.reduce(total) / max(1, batch.targets_in_step),)

    def _fits(self, accelerator: Accelerator, model: nn.Module, shape: ModelShape) -> bool:
        fits = self._try_pass(accelerator, model, shape)
        if not fits:
            clear_device_cache(garbage_collection=True)
        return bool(accelerator.reduce(torch.tensor(float(not fits), device=accelerator.device)) == 0)

    def _try_pass(self, accelerator: Accelerator, model: nn.Module, shape: ModelShape) -> bool:
        columns = accelerator.unwrap_model(model).parts_of_row * shape.context
        tokens = torch.zeros(self.rows * self._texts_of_row, columns, dtype=torch.int64, device=accelerator.device)
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


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy the tensor to `device`. Only a copy from pinned memory does not wait for the GPU's queue."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
