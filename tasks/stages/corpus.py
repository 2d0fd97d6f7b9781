"""corpus: the final kept documents, the filtered ones without the duplicates; its decisions name the document kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from tasks.duplicate_clusters import duplicates_table
from tasks.manifest import part_path
from tasks.parts import read_part
from tasks.schemas import DOCUMENTS, DUPLICATES, decisions_schema
from tasks.stages.stage import Output, PartContext, Stage, Upstream

DECISIONS = decisions_schema([pa.field("duplicate_of", pa.string())])
"""`duplicate_of`: the id of the document that was kept in this one's place."""


def run(context: PartContext) -> Iterator[Output]:
    """Documents in their order, and a decision for each."""
    for documents in context.input("filter"):
        judged = duplicates_table(documents["id"], _verdicts_on(context, documents["id"]))
        kept = documents.filter(judged["kept"])
        reasons = judged["reason"].to_pylist()
        decisions = pa.table(
            [
                documents["id"],
                pa.array(["corpus"] * documents.num_rows, pa.string()),
                judged["kept"],
                pa.array([[reason] if reason else [] for reason in reasons], pa.list_(pa.string())),
                pc.if_else(judged["kept"], None, judged["cluster"]),
            ],
            schema=DECISIONS,
        )
        counters = Counter(f"removed.{reason}" for reason in reasons if reason)
        counters.update(read=documents.num_rows, kept=kept.num_rows)
        yield Output(kept, decisions, counters)


def _verdicts_on(context: PartContext, ids: pa.ChunkedArray) -> pa.Table:
    """The verdicts whose ids lie between the first and the last of `ids`: few of a large crawl's."""
    if not len(ids):
        return DUPLICATES.empty_table()
    bounds = pc.min_max(ids).as_py()
    path = part_path("duplicates", context.job.upstream["duplicates"], 0)
    between = (pc.field("id") >= bounds["min"]) & (pc.field("id") <= bounds["max"])
    found = [table.filter(between) for table in read_part(context.store, path)]
    return pa.concat_tables(found) if found else DUPLICATES.empty_table()


def schema(context: PartContext) -> pa.Schema:
    """The columns of the corpus."""
    return DOCUMENTS


def decisions(context: PartContext) -> pa.Schema:
    """The columns of its decisions."""
    return DECISIONS


STAGE = Stage("corpus", 1, (Upstream("filter"), Upstream("duplicates", all_parts=True)), run, schema, decisions)
