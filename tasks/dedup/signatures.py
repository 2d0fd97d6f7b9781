"""signatures: the MinHash band keys of each filtered document, which bring near-duplicates together."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from tasks.dataset.schemas import SIGNATURES
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.dedup.minhash import MinHashConfig, signatures_table


def run(context: PartContext) -> Iterator[Output]:
    """Yield a row for each document, in their order."""
    config = context.config(MinHashConfig)
    for documents in context.input("filter", ["id", "text", "text_hash"]):
        yield Output(signatures_table(documents, config), counters={"documents": documents.num_rows})


def schema(context: PartContext) -> pa.Schema:
    """The columns of a signature part."""
    return SIGNATURES


STAGE = Stage("signatures", 1, (Upstream("filter"),), run, schema)
