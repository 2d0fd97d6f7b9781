"""Batch and learning rates for a model's size, by rules from the literature and what was measured.

Notable: the rules count the parameters outside the embedding. They never change a recipe's own values: they set those
of a plan, and carry a recipe's values over to the sizes of a ladder.
"""

import dataclasses
import math

from model.base.learning_config import OptimizerConfig
from model.base.sizes import ModelShape
from model.metrics.flops import count_parameters
from tasks.base.config import Config

SOURCE = (
    "batch: OLMo-core's ladder, 2048*160*(N/108M)^(2/3) tokens, to the nearest power of two of sequences on each GPU;"
    " rates: nanochat's for 524,288 tokens a batch, those of embedding and head times sqrt(768/width); Muon's rises to"
    " 0.045, measured for 4,096 (docs/log.md), in between by powers; for smaller and larger batches times sqrt(batch)"
)
_SIZE, _BATCH = 108e6, 2048 * 160
_SMALL_BATCH, _LARGE_BATCH, _RATE_WIDTH = 1 << 12, 1 << 19, 768
_SMALL_MUON_RATE, _MUON_RATE, _EMBEDDING_RATE, _HEAD_RATE = 0.045, 0.02, 0.3, 0.008


class LearningRates(Config):
    """How a planned model learns."""

    batch_tokens: int
    """Positions of one optimizer step."""
    global_batch_size: int
    matrix_lr: float
    """Peak learning rate of the blocks' matrices."""
    embedding_lr: float
    head_lr: float
    source: str


def learning_rules(shape: ModelShape, gpus: int) -> LearningRates:
    """Return a model's batch and rates; each of `gpus` GPUs gets a power of two of sequences, which passes divide."""
    size = count_parameters(shape).matrices / _SIZE
    share = 1 << max(0, round(math.log2(_BATCH * size ** (2 / 3) / shape.context / gpus)))
    batch = share * gpus * shape.context
    inner = min(max(batch, _SMALL_BATCH), _LARGE_BATCH)
    by_batch, by_width = (batch / inner) ** 0.5, (_RATE_WIDTH / shape.hidden_size) ** 0.5
    way = math.log(inner / _SMALL_BATCH) / math.log(_LARGE_BATCH / _SMALL_BATCH)
    return LearningRates(
        batch_tokens=batch,
        global_batch_size=share * gpus,
        matrix_lr=_SMALL_MUON_RATE ** (1 - way) * _MUON_RATE**way * by_batch,
        embedding_lr=_EMBEDDING_RATE * by_batch * by_width,
        head_lr=_HEAD_RATE * by_batch * by_width,
        source=SOURCE,
    )


def carried_over(
    optimizer: OptimizerConfig, global_batch_size: int, tuned: ModelShape, shape: ModelShape
) -> tuple[OptimizerConfig, int]:
    """Carry an optimizer and a batch, tuned for one shape, over to another by the same rules."""
    size = count_parameters(shape).matrices / count_parameters(tuned).matrices
    sequences = max(1, round(global_batch_size * size ** (2 / 3)))
    by_width = (tuned.hidden_size / shape.hidden_size) ** 0.5
    rates = {
        "lr_scale": optimizer.lr_scale * (sequences / global_batch_size) ** 0.5,
        "embedding_lr": optimizer.embedding_lr * by_width,
        "head_lr": optimizer.head_lr * by_width,
    }
    return dataclasses.replace(optimizer, **rates), sequences
