"""A tokens dataset and its packing plan for measuring: random tokens in documents as long as web pages are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from model.config import ModelShape
from model.packed_sequences import PackedSequences
from model.token_cache import open_token_cache
from model.token_data import open_training_data
from tasks.packing import best_fit, plan_table
from tasks.schemas import tokens_schema

SHAPE = ModelShape(vocabulary_size=2048, layers=4, width=192, heads=4, kv_heads=4, feed_forward_width=512, context=256)
"""2.2M parameters. As many key heads as query heads, so that its matrices are as large as nanoGPT's: SwiGLU's three of
512 hold what GELU's two of 768 do."""
SEQUENCES = 16
"""Sequences of a step."""
_MEDIAN_TOKENS, _SPREAD = 400, 1.0


def write_packed_corpus(folder: Path, documents: int) -> None:
    """Writes `documents` documents of log-normal length to folder/tokens and their plan to folder/packing."""
    draws = np.random.default_rng(1)
    lengths = np.clip(draws.lognormal(np.log(_MEDIAN_TOKENS), _SPREAD, documents), 16, 20_000).astype(np.int32)
    tokens = draws.integers(3, SHAPE.vocabulary_size, int(lengths.sum()), dtype=np.uint16)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    columns = [
        pa.array([f"made:{number}" for number in range(documents)]),
        pa.ListArray.from_arrays(pa.array(offsets), pa.array(tokens)),
        pa.array(lengths * 4),
        pa.array(["train"] * documents),
    ]
    _write(folder / "tokens", pa.table(columns, schema=tokens_schema(SHAPE.vocabulary_size)))
    parts, rows = np.zeros(documents, np.int32), np.arange(documents, dtype=np.int32)
    _write(folder / "packing", plan_table(parts, rows, best_fit(lengths, SHAPE.context + 1)))


def open_packed_corpus(folder: Path) -> tuple[PackedSequences, str, npt.NDArray[np.uint16]]:
    """The sequences with their digest, and the same documents' tokens in one row."""
    cache = open_token_cache(folder / "tokens", folder / "cache")
    data, digest = open_training_data(cache, folder / "packing", SHAPE, SEQUENCES, seed=1)
    return data, digest, cache.tokens


def _write(folder: Path, table: pa.Table) -> None:
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "part-00000.parquet")
