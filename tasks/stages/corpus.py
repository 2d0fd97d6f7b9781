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
    found: pa.Table | None = None
    for documents in context.input("filter"):
        if found is None and documents.num_rows:
            found = _verdicts_on_warc(context, documents["id"][0].as_py().rpartition(":")[0])
        judged = duplicates_table(documents["id"], DUPLICATES.empty_table() if found is None else found)
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


def _verdicts_on_warc(context: PartContext, warc: str) -> pa.Table:
    """The verdicts on one WARC's documents, which are all that a part has: few of a large crawl's."""
    path = part_path("duplicates", context.job.upstream["duplicates"], 0)
    # ":" ends the WARC's name in an id, and ";" is the character after it.
    here = (pc.field("id") >= f"{warc}:") & (pc.field("id") < f"{warc};")
    return pa.concat_tables(
        [DUPLICATES.empty_table(), *(table.filter(here) for table in read_part(context.store, path))]
    )


def schema(context: PartContext) -> pa.Schema:
    """The columns of the corpus."""
    return DOCUMENTS


def decisions(context: PartContext) -> pa.Schema:
    """The columns of its decisions."""
    return DECISIONS


STAGE = Stage("corpus", 1, (Upstream("filter"), Upstream("duplicates", all_parts=True)), run, schema, decisions)
