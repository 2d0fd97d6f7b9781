"""Examples like those that a run is trained on, kept apart and scored by the run's own loss."""

from dataclasses import dataclass, replace

import torch
from accelerate import Accelerator
from torch import nn

from model.base.config import LoopConfig
from model.data.packed_sequences import Batches
from model.objectives.loss import Loss
from model.training.micro_batch import MicroBatch


@dataclass(frozen=True)
class HeldOutExamples:
    """Batches of which the first has all examples."""

    batches: Batches
    count: int


@torch.no_grad()
def score_examples(
    accelerator: Accelerator, model: nn.Module, loss: Loss, loop: LoopConfig, examples: HeldOutExamples, rows: int
) -> dict[str, float]:
    """Return `loss` and the loss's metrics in the mean over all examples, the same on every process.

    `rows` of them are scored in one pass on one process.
    """
    batch = examples.batches.batch(0, accelerator.process_index, accelerator.num_processes)
    whole = replace(loop, global_batch_size=examples.count, micro_batch=rows)
    total = torch.zeros(1 + len(loss.metrics), device=accelerator.device)
    micro_batch = MicroBatch(whole, accelerator.num_processes)
    mean = micro_batch.step_mean(accelerator, model, loss, batch)
    for tensors in micro_batch.passes_of(batch, accelerator.device):
        total += loss.sums(model, *tensors, *mean)
    means = (accelerator.reduce(total) / max(1, batch.targets_in_step)).tolist()
    return dict(zip(("loss", *loss.metrics), means, strict=True))
