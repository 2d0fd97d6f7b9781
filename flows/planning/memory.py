"""What training a model holds in a GPU's memory, by the way it is parallelised, and the largest micro-batch that fits.

Notable:
- Weights, gradients and optimizer state are float32 and exact. Activations are those that the blocks keep for their
  backward pass in bfloat16, with what stands between the matrix products compiled and so recomputed, not kept; and
  attention that keeps neither probabilities nor a table of its mask. It is an estimate; loop.micro_batch = -1 finds out
  for certain.
- Muon orthogonalises all matrices of one shape at once (model/optimizer.py), when no activations are left: the greater
  of the two counts.
- The head's logits live in chunks (model/cross_entropy.py), so they cost the same whatever the batch.
- Under FSDP a block is gathered for its use, and its successor meanwhile; embedding and head are one unit.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from flows.planning.model_cost import count_parameters
from model.config import ModelShape
from tasks.config import Config

LOGITS_PER_CHUNK = 1 << 28
"""Logits that the head makes at a time on a GPU, unless 64 rows of the vocabulary are more (model/cross_entropy.py)."""
_LEAST_ROWS = 64
_BYTES_PER_LOGIT = 6
"""Compiled, in the activations' type: logits, their gradient, and that of the chunk before; 5.6 were measured."""
_BYTES_PER_UPDATE = 12
"""Of a weight in Muon's update: in float32 as it comes and as it goes, in bfloat16 before and after a product."""
RESERVED_BYTES = 2 * 10**9
"""Left to the driver, to libraries and to gaps between what is allocated: an assumption."""
_FLOAT, _HALF = 4, 2


class MemoryFit(Config):
    """One way of training, on each GPU."""

    parallelism: Literal["ddp", "fsdp"]
    activation_checkpointing: bool
    state_bytes: int
    """Weights, gradients and optimizer state."""
    working_bytes: int
    """What a pass needs beside them whatever its batch: weights in bfloat16, gathered units, logits."""
    update_bytes: int
    """What the optimizer's update needs beside the state, when no pass is under way."""
    bytes_per_sequence: int
    """Activations of one sequence of the context's length."""
    micro_batch: int
    """Most sequences of one forward pass that fit, up to a GPU's share of a step; 0: it does not fit."""
    bytes: int
    """All of it at that micro-batch, or at one sequence where not even that fits."""


def state_bytes(shape: ModelShape, optimizer: Literal["muon", "adamw"]) -> int:
    """Bytes of weights, gradients and optimizer state: AdamW keeps two numbers for each weight, Muon one."""
    counts = count_parameters(shape)
    moments = 2 * counts.total - (counts.matrices if optimizer == "muon" else 0)
    return _FLOAT * (2 * counts.total + moments)


def activation_bytes(shape: ModelShape, checkpointing: bool) -> int:
    """Bytes kept for the backward pass of one sequence."""
    queries, keys = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    # The stream before each half and its normed copy; queries and keys before and after their rotation, values, what
    # attention mixed; gate, up and their product.
    block = 4 * shape.width + 3 * queries + 3 * keys + 3 * shape.feed_forward_width
    statistics = _FLOAT * shape.heads
    kept = shape.layers * shape.width + block if checkpointing else shape.layers * block
    blocks_of_statistics = 1 if checkpointing else shape.layers
    # The stream that leaves the last block, its normed copy and its gradient.
    ends = 3 * shape.width
    return shape.context * (_HALF * (kept + ends) + statistics * blocks_of_statistics)


def update_bytes(shape: ModelShape, optimizer: Literal["muon", "adamw"]) -> int:
    """Bytes that an update holds for a moment: Muon's copies of its largest group of matrices; AdamW is in place."""
    if optimizer == "adamw":
        return 0
    queries, keys, inner = shape.heads * shape.head_width, shape.kv_heads * shape.head_width, shape.feed_forward_width
    matrices = [(queries, shape.width), (keys, shape.width), (keys, shape.width), (shape.width, queries)]
    matrices += [(inner, shape.width), (inner, shape.width), (shape.width, inner)]
    alike: Counter[tuple[int, int]] = Counter()
    for rows, columns in matrices:
        alike[rows, columns] += rows * columns
    return _BYTES_PER_UPDATE * shape.layers * max(alike.values())


def memory_fits(
    shape: ModelShape, optimizer: Literal["muon", "adamw"], sequences_per_step: int, gpus: int, memory_bytes: int | None
) -> tuple[MemoryFit, ...]:
    """Every way of training on `gpus` GPUs of `memory_bytes` each (None: whatever it takes), the simplest first."""
    ways: tuple[Literal["ddp", "fsdp"], ...] = ("ddp", "fsdp") if gpus > 1 else ("ddp",)
    share = max(1, sequences_per_step // gpus)
    return tuple(
        _fit(shape, optimizer, way, checkpointing, share, gpus, memory_bytes)
        for way in ways
        for checkpointing in (False, True)
    )


def _fit(
    shape: ModelShape,
    optimizer: Literal["muon", "adamw"],
    parallelism: Literal["ddp", "fsdp"],
    checkpointing: bool,
    share: int,
    gpus: int,
    memory_bytes: int | None,
) -> MemoryFit:
    counts = count_parameters(shape)
    shards = gpus if parallelism == "fsdp" else 1
    state = -(-state_bytes(shape, optimizer) // shards)
    logits = _BYTES_PER_LOGIT * max(LOGITS_PER_CHUNK, _LEAST_ROWS * shape.vocabulary_size)
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
