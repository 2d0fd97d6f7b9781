"""How well a tokenizer compresses: bytes of held-out text for each token, beside other tokenizers on the same text.

Notable: another tokenizer is a file that the recipe names, such as GPT-2's tokenizer.json; none comes with Sluice and
none is fetched. Boundary and special tokens count on no side.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from pydantic import Field
from tokenizers import Tokenizer

from tasks.config import Config
from tasks.data_files import DataFile
from tasks.errors import UsageError
from tasks.mixture import SourceName
from tasks.tokenization import encode_batch

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
    """A tokenizer from its file's content. Raises `UsageError` that names the field where it is none."""
    try:
        tokenizer = Tokenizer.from_str(data.decode())
    except Exception as error:  # the binding raises bare Exception
        raise UsageError(
            f"compression.tokenizers.{name} is no tokenizer.json of the tokenizers library: {error}."
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def compression_table(tokenizers: Mapping[str, Tokenizer], texts: pa.ChunkedArray, text_bytes: int) -> pa.Table:
    """Rows of `COMPRESSION`, one a tokenizer, over `texts` of `text_bytes` bytes together."""
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
