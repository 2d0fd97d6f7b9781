"""compression: bytes of held-out text a token, of the run's tokenizer and of others that the recipe names.

Notable: another tokenizer is a file, such as GPT-2's tokenizer.json; none comes with Sluice and none is fetched.
Boundary and special tokens are not counted.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field
from tokenizers import Tokenizer

from tasks.base.config import Config
from tasks.base.errors import PermanentError, UsageError
from tasks.dataset.data_files import DataFile, read_data_file
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.tokenize.encoding import VALIDATION, TokensConfig, encode_batch, split_of
from tasks.tokenize.mixture import OWN, SourceName
from tasks.tokenize.tokenizer_files import read_tokenizer
from tasks.tokenize.tokenizer_training import encoder

COMPRESSION = pa.schema(
    [
        ("tokenizer", pa.string()),  # `own`, or the recipe's name for it
        ("vocab_size", pa.int64()),
        ("documents", pa.int64()),
        ("bytes", pa.int64()),  # UTF-8 bytes of the texts
        ("tokens", pa.int64()),
    ]
)


class CompressionConfig(Config):
    """What the tokenizer is compared with, on held-out documents."""

    tokenizers: dict[SourceName, DataFile] = Field(default_factory=dict)
    """Other tokenizers by a name of one's own, e.g. `gpt2: /data/gpt2/tokenizer.json`: files of the `tokenizers`
    library."""
    max_bytes: int = Field(default=100_000_000, ge=1)
    """Bytes of held-out text that are encoded, at most: the first documents in the corpus's order, at least one."""


def named_tokenizer(name: str, data: bytes) -> Tokenizer:
    """Return a tokenizer from its file's content. Raises `UsageError` that names the field where it is none."""
    try:
        tokenizer = encoder(data.decode())
    except Exception as error:  # the binding raises bare Exception
        raise UsageError(
            f"compression.tokenizers.{name} is not a tokenizer.json of the tokenizers library: {error}."
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def compression_table(tokenizers: Mapping[str, Tokenizer], texts: pa.ChunkedArray, text_bytes: int) -> pa.Table:
    """Return rows of `COMPRESSION`, one a tokenizer, over `texts` of `text_bytes` bytes together."""
    rows = [
        {
            "tokenizer": name,
            "vocab_size": tokenizer.get_vocab_size(),
            "documents": len(texts),
            "bytes": text_bytes,
            "tokens": len(encode_batch(tokenizer, texts)[0]),
        }
        for name, tokenizer in tokenizers.items()
    ]
    return pa.Table.from_pylist(rows, schema=COMPRESSION)


class CompressionStageConfig(CompressionConfig):
    """The recipe's section, and which documents are held out."""

    held_out: TokensConfig
    """The choice of the documents."""


def run(context: PartContext) -> Iterator[Output]:
    """Yield one row a tokenizer."""
    config = context.config(CompressionStageConfig)
    tokenizers = {OWN: read_tokenizer(context)}
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
    """Return the first held-out texts up to the limit, and their bytes."""
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


STAGE = Stage(
    name="compression",
    version=1,
    upstream=(Upstream("corpus", all_parts=True), Upstream("tokenizer", all_parts=True)),
    config_of=lambda recipe: (
        recipe.compression and CompressionStageConfig(**dict(recipe.compression), held_out=recipe.tokens)
    ),
    memory="the held-out texts: a smaller compression.max_bytes makes it smaller",
    rows=COMPRESSION,
    run=run,
)
