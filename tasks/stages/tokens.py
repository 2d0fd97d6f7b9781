"""tokens: the corpus encoded, each document on its side of the split between training and validation."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import PermanentError
from tasks.schemas import tokens_schema
from tasks.stages.stage import Output, PartContext, Stage, Upstream
from tasks.stages.tokenizer import tokenizer_path
from tasks.tokenization import TRAIN, TokensConfig, check_tokenizer, tokens_table
from tasks.tokenizer_training import encoder


def run(context: PartContext) -> Iterator[Output]:
    """One row a document, in the documents' order."""
    config = context.config(TokensConfig)
    path = tokenizer_path(context.job.upstream["tokenizer"])
    try:
        tokenizer = encoder(context.store.read_bytes(path).decode())
    except FileNotFoundError as error:
        dataset = context.store.location(f"datasets/tokenizer/{context.job.upstream['tokenizer']}")
        raise PermanentError(
            f"{context.store.location(path)} is gone: delete {dataset} and run again to train it anew."
        ) from error
    check_tokenizer(tokenizer)
    for documents in context.input("corpus", ["id", "text", "text_hash"]):
        rows = tokens_table(documents, tokenizer, config)
        counts = pc.list_value_length(rows["tokens"])
        training = pc.equal(rows["split"], TRAIN)
        counters = {
            "documents": rows.num_rows,
            "tokens": int(pc.sum(counts).as_py() or 0),
            "train_tokens": int(pc.sum(counts.filter(training)).as_py() or 0),
            "bytes": int(pc.sum(rows["n_bytes"]).as_py() or 0),
        }
        yield Output(rows, counters=counters)


def schema(context: PartContext) -> pa.Schema:
    """The columns of a token part; the width of a token follows the vocabulary."""
    return tokens_schema(context.manifest("tokenizer").config["vocab_size"])


STAGE = Stage("tokens", 1, (Upstream("corpus"), Upstream("tokenizer", all_parts=True)), run, schema)
