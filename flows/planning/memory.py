"""What training a model holds in a GPU's memory, by the way it is parallelised, and the largest micro-batch that fits.

Notable:
- Weights, gradients and optimizer state are float32 and exact. Activations are an estimate: what the blocks keep for
  their backward pass in bfloat16, with the operations between the matrix products compiled and so recomputed, and with
  attention that keeps neither probabilities nor a mask table. loop.micro_batch = -1 finds the true limit.
- Muon orthogonalises all matrices of one shape at once (model/training/muon.py), after activations are freed, so
  the larger of the two counts.
- The head makes its logits in chunks (model/network/cross_entropy.py), so they cost the same for any batch.
- Under FSDP a block is gathered while it is used, and so is the next one; embedding and head are one unit.
"""

from collections import Counter
from typing import Literal

from model.base.learning_config import OptimizerName
from model.base.sizes import LEAST_ROWS_PER_CHUNK, LOGITS_PER_GPU_CHUNK, ModelShape
from model.metrics.flops import count_parameters
from tasks.base.config import Config

_BYTES_PER_LOGIT = 6
"""Compiled, in the activations' type: logits, their gradient, and that of the chunk before; 5.6 were measured."""
_BYTES_PER_UPDATE = 12
"""Of a weight in Muon's update: in float32 as it comes and as it goes, in bfloat16 before and after a product."""
RESERVED_BYTES = 2 * 10**9
"""Left for the driver, libraries and fragmentation: an assumption."""
_FLOAT, _HALF = 4, 2
_KEPT_PER_MATRIX_WEIGHT: dict[OptimizerName, int] = {"muon": 1, "adamw": 2}
"""Numbers that an optimizer keeps for each weight of a matrix inside the blocks; AdamW has all other weights."""


class MemoryFit(Config):
    """One way of training, on each GPU."""

    parallelism: Literal["ddp", "fsdp"]
    activation_checkpointing: bool
    state_bytes: int
    """Weights, gradients and optimizer state."""
    working_bytes: int
    """What a pass of any batch needs besides: weights in bfloat16, gathered units, logits."""
    update_bytes: int
    """What the optimizer's update needs besides the state, between passes."""
    bytes_per_sequence: int
    """Activations of one sequence of the context's length."""
    micro_batch: int
    """Most sequences of one forward pass that fit, up to a GPU's share of a step; 0: it does not fit."""
    bytes: int
    """All of it at that micro-batch, or at one sequence where not even that fits."""


def state_bytes(shape: ModelShape, optimizer: OptimizerName) -> int:
    """Return the bytes of weights, gradients and optimizer state."""
    counts = count_parameters(shape)
    kept = 2 * (counts.total - counts.matrices) + _KEPT_PER_MATRIX_WEIGHT[optimizer] * counts.matrices
    return _FLOAT * (2 * counts.total + kept)


def activation_bytes(shape: ModelShape, checkpointing: bool) -> int:
    """Return the bytes kept for the backward pass of one sequence."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    # The stream before each half and its normed copy; queries and keys before and after their rotation, values, what
    # attention mixed; gate, up and their product.
    block = 4 * shape.hidden_size + 3 * queries + 3 * keys + 3 * shape.intermediate_size
    statistics = _FLOAT * shape.heads
    kept = shape.layers * shape.hidden_size + block if checkpointing else shape.layers * block
    blocks_of_statistics = 1 if checkpointing else shape.layers
    # The stream that leaves the last block, its normed copy and its gradient.
    ends = 3 * shape.hidden_size
    return shape.context * (_HALF * (kept + ends) + statistics * blocks_of_statistics)


def update_bytes(shape: ModelShape, optimizer: OptimizerName) -> int:
    """Return the bytes that an update needs for a moment: Muon copies its largest group of matrices."""
    if optimizer != "muon":
        return 0
    hidden, inner = shape.hidden_size, shape.intermediate_size
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    attention = [(queries, hidden), (keys, hidden), (keys, hidden), (hidden, queries)]
    by_size: Counter[tuple[int, int]] = Counter()
    for rows, columns in [*attention, (inner, hidden), (inner, hidden), (hidden, inner)]:
        by_size[rows, columns] += rows * columns
    return _BYTES_PER_UPDATE * shape.layers * max(by_size.values())


def memory_fits(
    shape: ModelShape, optimizer: OptimizerName, global_batch_size: int, gpus: int, memory_bytes: int | None
) -> tuple[MemoryFit, ...]:
    """Return every way of training on `gpus` GPUs of `memory_bytes` each (None: no limit), the simplest first."""
    ways: tuple[Literal["ddp", "fsdp"], ...] = ("ddp", "fsdp") if gpus > 1 else ("ddp",)
    share = max(1, global_batch_size // gpus)
    return tuple(
        _fit(shape, optimizer, way, checkpointing, share, gpus, memory_bytes)
        for way in ways
        for checkpointing in (False, True)
    )


def _fit(
    shape: ModelShape,
    optimizer: OptimizerName,
    parallelism: Literal["ddp", "fsdp"],
    checkpointing: bool,
    share: int,
    gpus: int,
    memory_bytes: int | None,
) -> MemoryFit:
    counts = count_parameters(shape)
    shards = gpus if parallelism == "fsdp" else 1
    state = -(-state_bytes(shape, optimizer) // shards)
    logits = _BYTES_PER_LOGIT * max(LOGITS_PER_GPU_CHUNK, LEAST_ROWS_PER_CHUNK * shape.vocab_size)
    if parallelism == "fsdp":
        # Two blocks in bfloat16 and the gradient of one; the tables in float32 with theirs and the cast head.
        block = counts.matrices // shape.layers
        weights = 2 * _HALF * block + _FLOAT * block + 2 * _FLOAT * counts.tables + _HALF * counts.head
    else:
        # Every matrix is cast once for a pass and kept for the backward one; the head's gradient is made beside it.
        weights = _HALF * (counts.matrices + counts.head) + _FLOAT * counts.head
    each = activation_bytes(shape, checkpointing)
    working, update = weights + logits, -(-update_bytes(shape, optimizer) // shards)
    micro_batch = share
    if memory_bytes is not None:
        room = memory_bytes - RESERVED_BYTES - state - working
        micro_batch = max(0, min(share, room // each)) if room + working >= update else 0
    # A step is made of equal passes.
    while micro_batch > 1 and share % micro_batch:
        micro_batch -= 1
    return MemoryFit(
        parallelism=parallelism,
        activation_checkpointing=checkpointing,
        state_bytes=state,
        working_bytes=working,
        update_bytes=update,
        bytes_per_sequence=each,
        micro_batch=micro_batch,
        bytes=state + max(update, working + max(1, micro_batch) * each),
    )
