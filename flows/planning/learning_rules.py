"""Batch and learning rates for a model's size, by rules from the literature.

Notable: the rules count the parameters outside the embedding. They never change a recipe's own values: they set those
of a plan, and carry a recipe's values over to the sizes of a ladder.
"""

import dataclasses
import math

from model.base.config import ModelShape, OptimizerConfig
from model.metrics.flops import count_parameters
from tasks.base.config import Config

SOURCE = (
    "batch and AdamW's rate: OLMo-core's ladder, 2048*160*(N/108M)^(2/3) tokens, to the nearest power of two of"
    " sequences on each GPU, and 0.0047*(N/108M)^(-1/3)/2; Muon's rate: nanochat's, 0.02*sqrt(batch/524,288)"
)
_SIZE, _BATCH, _RATE = 108e6, 2048 * 160, 0.0047 / 2
_MUON_RATE, _MUON_BATCH = 0.02, 1 << 19


class LearningRates(Config):
    """How a planned model learns."""

    batch_tokens: int
    """Positions of one optimizer step."""
    global_batch_size: int
    lr: float
    """Peak learning rate of AdamW."""
    muon_lr: float
    """Peak learning rate of Muon."""
    source: str


def learning_rules(shape: ModelShape, gpus: int) -> LearningRates:
    """Return a model's batch and rates; each of `gpus` GPUs gets a power of two of sequences, which passes divide."""
    size = count_parameters(shape).matrices / _SIZE
    share = 1 << max(0, round(math.log2(_BATCH * size ** (2 / 3) / shape.context / gpus)))
    batch = share * gpus * shape.context
    return LearningRates(
        batch_tokens=batch,
        global_batch_size=share * gpus,
        lr=_RATE * size ** (-1 / 3),
        muon_lr=_MUON_RATE * (batch / _MUON_BATCH) ** 0.5,
        source=SOURCE,
    )


def carried_over(
    optimizer: OptimizerConfig, global_batch_size: int, tuned: ModelShape, shape: ModelShape
) -> tuple[OptimizerConfig, int]:
    """Carry an optimizer and a batch, tuned for one shape, over to another by the same rules."""
    size = count_parameters(shape).matrices / count_parameters(tuned).matrices
    sequences = max(1, round(global_batch_size * size ** (2 / 3)))
    rates = {
        "lr": optimizer.lr * size ** (-1 / 3),
        "muon_lr": optimizer.muon_lr * (sequences / global_batch_size) ** 0.5,
    }
    return dataclasses.replace(optimizer, **rates), sequences
