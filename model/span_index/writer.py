"""Writes the span index of a corpus, shard by shard.

Notable: the suffix array is libdivsufsort's, about a second for four million tokens. A shard takes some sixteen bytes
of memory a token while it is sorted.
"""

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pydivsufsort

from model.span_index.search import (
    FORMAT_VERSION,
    INDEX_FILE,
    PAGE_ENDS_FILE,
    PAGES_FILE,
    STARTS_FILE,
    SUFFIXES_FILE,
    TOKENS_FILE,
    Page,
    shard_name,
)

SHARD_TOKENS = 1 << 26
"""Tokens after which a shard is full."""


def write_span_index(
    folder: Path,
    documents: Iterable[tuple[Page, "np.ndarray[Any, Any]"]],
    *,
    vocab_size: int,
    boundary: int,
    tokenizer: str,
    shard_tokens: int = SHARD_TOKENS,
) -> int:
    """Write an index of documents and their tokens to a new folder; return how many documents it holds.

    It is written beside the folder and renamed, so a folder that is there is whole.

    Args:
        folder: Where the index will be.
        documents: Each document with its tokens, in the order of their places.
        vocab_size: Ids are below this.
        boundary: The id that ends each document, which no text has.
        tokenizer: Digest of the tokenizer.
        shard_tokens: Tokens after which a shard is full.
    """
    token_bytes = 2 if vocab_size <= 1 << 16 else 4
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    end = np.asarray([boundary], dtype=f"u{token_bytes}")
    pages: list[Page] = []
    pieces: list[np.ndarray[Any, Any]] = []
    size = shards = count = 0

    def finish_shard() -> None:
        nonlocal shards, size
        _write_shard(temporary / shard_name(shards), pages, pieces)
        shards, size = shards + 1, 0
        pages.clear()
        pieces.clear()

    for page, tokens in documents:
        pages.append(page)
        pieces.append(np.concatenate([tokens.astype(end.dtype), end]))
        size, count = size + len(tokens) + 1, count + 1
        if size >= shard_tokens:
            finish_shard()
    if pages:
        finish_shard()
    described = {"version": FORMAT_VERSION, "shards": shards, "documents": count, "token_bytes": token_bytes}
    (temporary / INDEX_FILE).write_text(json.dumps({**described, "tokenizer": tokenizer}), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    return count


def _write_shard(folder: Path, pages: list[Page], pieces: list["np.ndarray[Any, Any]"]) -> None:
    folder.mkdir()
    tokens = np.concatenate(pieces)
    lengths = np.asarray([len(piece) for piece in pieces], dtype=np.int64)
    tokens.astype(tokens.dtype.newbyteorder(">")).tofile(folder / TOKENS_FILE)
    np.save(folder / SUFFIXES_FILE, pydivsufsort.divsufsort(tokens), allow_pickle=False)
    np.save(folder / STARTS_FILE, np.cumsum(lengths) - lengths, allow_pickle=False)
    lines = [json.dumps(asdict(page)).encode() + b"\n" for page in pages]
    (folder / PAGES_FILE).write_bytes(b"".join(lines))
    ends = np.cumsum([len(line) for line in lines], dtype=np.int64)
    np.save(folder / PAGE_ENDS_FILE, ends, allow_pickle=False)
