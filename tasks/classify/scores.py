"""scores: every classifier's score of every document that is no duplicate."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from tasks.classify.classifiers import read_classifiers
from tasks.classify.linear_model import score_texts
from tasks.classify.score_rules import scores_schema, signal_name
from tasks.dataset.rules import passing
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.dedup.duplicates_check import DuplicatesCheck


def run(context: PartContext) -> Iterator[Output]:
    """Yield ids and scores, in the documents' order."""
    models = read_classifiers(context)
    duplicates = DuplicatesCheck(context)
    for documents in context.input("filter", ["id", "text"]):
        stays = passing(duplicates.check(documents).failing.values(), documents.num_rows)
        unique = documents.filter(pa.array(stays))
        scores = score_texts(list(models.values()), unique["text"])
        columns = {signal_name(name): pa.array(values) for name, values in zip(models, scores, strict=True)}
        yield Output(
            pa.table({"id": unique["id"], **columns}, schema=schema(context)), counters={"scored": len(unique)}
        )


def schema(context: PartContext) -> pa.Schema:
    """Return the document's id, and a column for each classifier."""
    return scores_schema(context.job.config["classifiers"])


STAGE = Stage(
    "scores",
    1,
    (Upstream("filter"), Upstream("duplicates", all_parts=True), Upstream("classifiers", all_parts=True)),
    run,
    schema,
)
