"""thresholds: the lowest score that each share to keep comes to, found over the whole crawl.

Notable: a stage of its own, of one part, since a share is one of all documents: no part of the scores knows it, and
parts of the corpus that each looked for it would each read the scores of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from tasks.classify.lowest_kept import LowestKept, find_lowest_kept
from tasks.classify.score_rules import signal_name
from tasks.dataset.stage import Output, PartContext, Stage, Upstream

ROWS = pa.schema(
    [
        ("name", pa.string()),  # of the classifier
        ("score", pa.float64()),  # documents with a lower one go
        ("last_id", pa.string()),  # of the documents with just this score, those after this id go
    ]
)


def run(context: PartContext) -> Iterator[Output]:
    """Yield a row for each classifier of which a share is kept."""

    def read(columns: list[str]) -> Iterator[pa.Table]:
        return (table for _, table in context.all_inputs("scores", columns))

    found = {name: find_lowest_kept(share, signal_name(name), read) for name, share in context.job.config.items()}
    rows = [{"name": name, "score": lowest.score, "last_id": lowest.last_id} for name, lowest in found.items()]
    yield Output(pa.Table.from_pylist(rows, schema=ROWS))


def read_thresholds(tables: Iterable[pa.Table]) -> dict[str, LowestKept]:
    """Return what this stage found, by classifier."""
    return {row["name"]: LowestKept(row["score"], row["last_id"]) for table in tables for row in table.to_pylist()}


def schema(context: PartContext) -> pa.Schema:
    """Return the columns of the thresholds."""
    return ROWS


STAGE = Stage("thresholds", 2, (Upstream("scores", all_parts=True),), run, schema)
