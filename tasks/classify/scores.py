"""scores: every classifier's score of every document that is no duplicate."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from tasks.classify.linear_model import LinearModel, read_model, score_texts
from tasks.classify.score_rules import scores_schema, signal_name
from tasks.dataset.rules import passing
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.dedup.duplicates_check import DuplicatesCheck


def run(context: PartContext) -> Iterator[Output]:
    """Yield ids and scores, in the documents' order."""
    models = _models(context)
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
    """Return the columns: the document's id, and one for each classifier."""
    return scores_schema(context.manifest("classifiers").config["classifiers"])


def _models(context: PartContext) -> dict[str, LinearModel]:
    """Return the trained models by name."""
    return {
        row["name"]: read_model(row["model"], f"The classifier {row['name']!r} in {context.store.url}")
        for _, table in context.all_inputs("classifiers", ["name", "model"])
        for row in table.to_pylist()
    }


STAGE = Stage(
    name="scores",
    version=1,
    upstream=(Upstream("filter"), Upstream("duplicates", all_parts=True), Upstream("classifiers", all_parts=True)),
    config_of=lambda recipe: {} if recipe.classifiers else None,
    rows=schema,
    run=run,
)
