"""duplicates: the clusters that the pairs form, and the document of each that is kept."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from tasks.dataset.schemas import DUPLICATES
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.dedup.clusters import duplicate_decisions

ROWS_PER_GROUP = 100_000
"""Decisions that a reader has in memory at a time."""


def run(context: PartContext) -> Iterator[Output]:
    """Yield one row for each document that has a duplicate, sorted by id."""
    edges = [
        np.stack([table["left"].to_numpy(), table["right"].to_numpy()], axis=1)
        for _, table in context.all_inputs("candidates")
    ]
    all_edges = np.concatenate(edges) if edges else np.empty((0, 2), dtype=np.int64)
    found = duplicate_decisions(context.reader("signatures"), all_edges)
    reasons = Counter(reason for reason in found["reason"].to_pylist() if reason)
    clusters = {"clusters": len(found["cluster"].unique())}
    for start in range(0, found.num_rows, ROWS_PER_GROUP):
        yield Output(found.slice(start, ROWS_PER_GROUP))
    yield Output(counters=clusters | {f"removed.{reason}": count for reason, count in reasons.items()})


STAGE = Stage(
    name="duplicates",
    version=1,
    upstream=(Upstream("signatures", all_parts=True), Upstream("candidates", all_parts=True)),
    config_of=lambda recipe: {},
    memory="the documents that have a duplicate and the pairs of them",
    rows=DUPLICATES,
    run=run,
)
