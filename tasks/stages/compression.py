"""compression: bytes per token of the tokenizer on held-out documents, beside the tokenizers that the recipe names."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.compression import COMPRESSION, CompressionConfig, compression_table, named_tokenizer
from tasks.data_files import read_data_file
from tasks.errors import PermanentError
from tasks.mixture import OWN
from tasks.stages.stage import Output, PartContext, Stage, Upstream
from tasks.stages.tokenizer import tokenizer_path
from tasks.tokenization import VALIDATION, TokensConfig, split_of
from tasks.tokenizer_training import encoder


class CompressionStageConfig(CompressionConfig):
    """The recipe's section, and which documents are held out."""

    held_out: TokensConfig
    """The choice of the documents."""


def run(context: PartContext) -> Iterator[Output]:
    """One row a tokenizer."""
    config = context.config(CompressionStageConfig)
    path = tokenizer_path(context.job.upstream["tokenizer"])
    tokenizers = {OWN: encoder(context.store.read_bytes(path).decode())}
    for name, file in config.tokenizers.items():
        tokenizers[name] = named_tokenizer(name, read_data_file(context.store, file))
    texts, text_bytes = _held_out_texts(context, config)
    if not len(texts):
        raise PermanentError(
            "No document is held out, so there is nothing to measure compression on: raise tokens.validation_fraction "
            "or take the section compression out of the recipe."
        )
    table = compression_table(tokenizers, texts, text_bytes)
    tokens = {f"tokens.{row['tokenizer']}": row["tokens"] for row in table.to_pylist()}
    yield Output(table, counters={"documents": len(texts), "bytes": text_bytes, **tokens})


def _held_out_texts(context: PartContext, config: CompressionStageConfig) -> tuple[pa.ChunkedArray, int]:
    """The first held-out texts up to the limit, and their bytes."""
    found, total = [pa.chunked_array([], pa.string())], 0
    for _, documents in context.all_inputs("corpus", ["text", "text_hash"]):
        texts = documents["text"].filter(pc.equal(split_of(documents["text_hash"], config.held_out), VALIDATION))
        sizes = pc.cast(pc.binary_length(texts), pa.int64()).to_numpy()
        room = config.max_bytes - total
        taken = max(int(np.searchsorted(np.cumsum(sizes), room, side="right")), int(total == 0))
        found.append(texts.slice(0, taken))
        total += int(sizes[:taken].sum())
        if taken < len(texts):
            break
    return pa.chunked_array([chunk for column in found for chunk in column.chunks], pa.string()), total


def schema(context: PartContext) -> pa.Schema:
    """The columns of the comparison."""
    return COMPRESSION


STAGE = Stage(
    "compression", 1, (Upstream("corpus", all_parts=True), Upstream("tokenizer", all_parts=True)), run, schema
)
