"""candidates: pairs of duplicates, one part for each partition of the join over band keys.

Notable: a part reads every signature part, but only the columns it needs, and only its own share of the keys stays in
memory. Rows are places in the signatures dataset, which the fingerprint upstream pins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from tasks.dataset.schemas import CANDIDATES
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.dedup.clusters import DuplicatesConfig, Reader, partition_edges


def signature_reader(context: PartContext) -> Reader:
    """Return a reader of the signatures dataset, part after part."""

    def read(columns: list[str]) -> Iterable[pa.Table]:
        return (table for _, table in context.all_inputs("signatures", columns))

    return read


def run(context: PartContext) -> Iterator[Output]:
    """Yield the pairs that this part's partition of the keys finds."""
    edges = partition_edges(signature_reader(context), context.job.index, context.config(DuplicatesConfig))
    rows = pa.table({"left": edges[:, 0], "right": edges[:, 1]}, schema=CANDIDATES)
    yield Output(rows, counters={"pairs": len(edges)})


def schema(context: PartContext) -> pa.Schema:
    """The columns of a candidates part."""
    return CANDIDATES


def partitions(config: dict[str, Any]) -> int:
    """A part for each partition."""
    return DuplicatesConfig.model_validate(config).partitions


STAGE = Stage("candidates", 1, (Upstream("signatures", all_parts=True),), run, schema, parts=partitions)
