"""A tokens dataset and its packing plan for measuring: random tokens in documents as long as web pages are."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from model.base.sizes import ModelShape
from model.data.packed_sequences import PackedSequences
from model.data.token_cache import open_token_cache
from model.data.token_data import open_training_data
from tasks.dataset.schemas import tokens_schema
from tasks.tokenize.best_fit import best_fit, plan_table


@dataclass(frozen=True)
class Sizes:
    """What is trained in a measurement: as many key heads as query heads, so that our matrices are as large as
    nanoGPT's: SwiGLU's three of 8/3 the width hold what GELU's two of four times the width do."""

    shape: ModelShape
    sequences: int
    """Sequences of a step."""

    @property
    def tokens_per_step(self) -> int:
        """Positions that a step trains on, whoever makes it."""
        return self.sequences * self.shape.context


TWO_MILLION = Sizes(
    ModelShape(
        vocab_size=2048,
        layers=4,
        hidden_size=192,
        heads=4,
        kv_heads=4,
        intermediate_size=512,
        context=256,
        tied_embeddings=True,
    ),
    16,
)
"""2.2M parameters."""
TWELVE_MILLION = Sizes(
    ModelShape(
        vocab_size=4096,
        layers=6,
        hidden_size=384,
        heads=6,
        kv_heads=6,
        intermediate_size=1024,
        context=256,
        tied_embeddings=True,
    ),
    8,
)
"""12.2M parameters."""


def untied(sizes: Sizes) -> Sizes:
    """A model with a head of its own, as models have by default; vocabulary and batch are those of `TWO_MILLION`."""
    shape = dataclasses.replace(sizes.shape, vocab_size=TWO_MILLION.shape.vocab_size, tied_embeddings=False)
    return Sizes(shape, TWO_MILLION.sequences)


_MEDIAN_TOKENS, _SPREAD = 400, 1.0


def write_packed_corpus(folder: Path, documents: int, context: int = TWO_MILLION.shape.context) -> None:
    """Writes `documents` documents of log-normal length to folder/tokens and their plan to folder/packing."""
    draws = np.random.default_rng(1)
    lengths = np.clip(draws.lognormal(np.log(_MEDIAN_TOKENS), _SPREAD, documents), 16, 20_000).astype(np.int32)
    tokens = draws.integers(3, TWO_MILLION.shape.vocab_size, int(lengths.sum()), dtype=np.uint16)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    columns = [
        pa.array([f"made:{number}" for number in range(documents)]),
        pa.ListArray.from_arrays(pa.array(offsets), pa.array(tokens)),
        pa.array(lengths),
        pa.array(lengths * 4),
        pa.array(["train"] * documents),
    ]
    write_packed(folder, pa.table(columns, schema=tokens_schema(TWO_MILLION.shape.vocab_size)), context)


def write_packed(folder: Path, tokens: pa.Table, context: int) -> None:
    """Writes rows of `tokens_schema` to folder/tokens and their plan to folder/packing."""
    lengths = tokens["n_tokens"].to_numpy()
    parts, rows = np.zeros(len(lengths), np.int32), np.arange(len(lengths), dtype=np.int32)
    _write(folder / "tokens", tokens)
    _write(folder / "packing", plan_table(parts, rows, best_fit(lengths, context + 1)))


def open_packed_corpus(folder: Path, sizes: Sizes = TWO_MILLION) -> tuple[PackedSequences, str, npt.NDArray[np.uint16]]:
    """The sequences with their digest, and the same documents' tokens in one row."""
    cache = open_token_cache(folder / "tokens", folder / "cache")
    data, digest = open_training_data(cache, folder / "packing", sizes.shape, sizes.sequences, seed=1)
    return data, digest, cache.tokens


def _write(folder: Path, table: pa.Table) -> None:
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "part-00000.parquet", row_group_size=10_000)
