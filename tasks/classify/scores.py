"""scores: every classifier's score of every document that is no duplicate."""

from collections.abc import Iterator

import pyarrow as pa

from tasks.classify.linear_model import read_model, score_texts
from tasks.classify.score_rules import scores_schema
from tasks.dataset.rules import passing
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.dedup.duplicates_check import DuplicatesCheck


def run(context: PartContext) -> Iterator[Output]:
    """Yield ids and scores, in the documents' order."""
    models = {
        row["name"]: read_model(row["model"], f"The classifier {row['name']!r} in {context.store.url}")
        for _, table in context.all_inputs("classifiers", ["name", "model"])
        for row in table.to_pylist()
    }
    duplicates = DuplicatesCheck(context)
    for documents in context.input("filter", ["id", "text"]):
        stays = passing(duplicates.check(documents).failing.values(), documents.num_rows)
        unique = documents.filter(pa.array(stays))
        scores = score_texts(list(models.values()), unique["text"])
        rows = pa.table([unique["id"], *map(pa.array, scores)], schema=scores_schema(models))
        yield Output(rows, counters={"scored": len(unique)})


def schema(context: PartContext) -> pa.Schema:
    """Return the columns: the document's id, and one for each classifier."""
    return scores_schema(context.manifest("classifiers").config["classifiers"])


STAGE = Stage(
    name="scores",
    version=1,
    upstream=(Upstream("filter"), Upstream("duplicates"), Upstream("classifiers", all_parts=True)),
    config_of=lambda recipe: {} if recipe.classifiers else None,
    rows=schema,
    run=run,
)
