"""Pretraining data: the sequences of a packing plan over the documents of a tokens dataset.

Notable: the plan names each segment by part, row and offset. These become positions in the memory-mapped token array
once; after that a batch is slices of one array (model/data/packed_sequences.py).
"""

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from model.base.errors import BadInput
from model.base.sizes import ModelShape, reserved_ids
from model.data.corrupted_sequences import CorruptedSequences
from model.data.corruption import corruption_of
from model.data.dataset_parts import check_part, dataset_parts, read_row_groups
from model.data.packed_sequences import IntArray, PackedSequences, Packing
from model.data.token_cache import TokenCache


def check_vocabulary(cache: TokenCache, shape: ModelShape, objective: str = "causal") -> None:
    """Raise BadInput if a token of the dataset has no row in the model's embedding, or a reserved one."""
    reserved = reserved_ids(objective, shape.context)
    if reserved and cache.largest_token >= shape.vocab_size - reserved:
        raise BadInput(
            f"the objective {objective} needs the {reserved} topmost ids of the vocabulary, but shape.vocab_size "
            f"is {shape.vocab_size} and the tokens dataset holds id {cache.largest_token}; set it to at least "
            f"{cache.largest_token + 1 + reserved}"
        )
    if cache.largest_token >= shape.vocab_size:
        raise BadInput(
            f"the tokens dataset holds id {cache.largest_token}, but shape.vocab_size is {shape.vocab_size}; "
            "set it to the size of the tokenizer that made the dataset"
        )


def open_training_data(
    cache: TokenCache, plan: Path, shape: ModelShape, global_batch_size: int, seed: int, objective: str = "causal"
) -> tuple[PackedSequences, str]:
    """Return the training sequences of a packing plan, and a digest of data and plan: if equal, batches are.

    Raises BadInput if the plan is damaged, or does not fit the dataset or the context.
    """
    check_vocabulary(cache, shape, objective)
    packing = _read_plan(plan, cache, shape.context)
    digest = xxhash.xxh3_128(cache.digest.encode())
    for array in (packing.offsets, packing.starts, packing.lengths):
        digest.update(np.ascontiguousarray(array).tobytes())
    corruption = corruption_of(objective, shape)
    stream = PackedSequences if corruption is None else partial(CorruptedSequences, corruption=corruption)
    return stream(cache.tokens, packing, shape.context, global_batch_size, seed), digest.hexdigest()


def training_bytes_per_token(cache: TokenCache) -> float | None:
    """Return the UTF-8 bytes of text per predictable token of the training documents; None if there is none."""
    training = ~cache.validation
    tokens = int((np.diff(cache.offsets) - 1)[training].sum())
    return int(cache.byte_counts[training].sum(dtype=np.int64)) / tokens if tokens else None


def _read_plan(plan: Path, cache: TokenCache, context: int) -> Packing:
    counts, starts, lengths = [], [], []
    for part in dataset_parts(plan):
        check_part(part)
        for table in read_row_groups(part.path, ("sequence", "segments")):
            segments = table["segments"].combine_chunks()
            counts.append(segments.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64))
            start, length = _positions(segments.flatten(), cache, part.path)
            starts.append(start)
            lengths.append(length)
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts or [np.empty(0, np.int64)]))])
    if offsets[-1] == 0:
        raise BadInput(f"the packing plan {plan} holds no sequences; is the training split of the tokens empty?")
    packing = Packing(offsets, np.concatenate(starts), np.concatenate(lengths))
    if (longest := packing.filled.max()) > context + 1:
        raise BadInput(
            f"the packing plan {plan} holds a sequence of {longest} tokens, but shape.context {context} takes at most "
            f"{context + 1}; pack again for this context"
        )
    return packing


def _positions(segments: pa.StructArray, cache: TokenCache, part: Path) -> tuple[IntArray, IntArray]:
    try:
        columns = {name: segments.field(name) for name in ("part", "row", "start", "length")}
    except KeyError as error:
        raise BadInput(f"{part}: its segments have no field {error}") from error
    number, row, start, length = (column.to_numpy(zero_copy_only=False).astype(np.int64) for column in columns.values())
    wrong = (number < 0) | (number >= len(cache.parts) - 1) | (row < 0) | (start < 0) | (length < 1)
    if not wrong.any():
        document = cache.parts[number] + row
        wrong = document >= cache.parts[number + 1]
    if not wrong.any():
        first = cache.offsets[document] + start
        wrong = first + length > cache.offsets[document + 1]
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise BadInput(
            f"{part}: segment {at} (part {number[at]}, row {row[at]}, start {start[at]}, length {length[at]}) is not "
            "in the tokens dataset; the plan belongs to another dataset, or one of them is damaged"
        )
    return first, length
