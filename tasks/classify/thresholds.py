"""thresholds: the score at which each classifier parts what stays from what goes, found over the whole crawl."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from tasks.classify.score_thresholds import THRESHOLDS, find_threshold, thresholds_table
from tasks.classify.training import ScoreRuleConfig
from tasks.dataset.stage import Output, PartContext, Stage, Upstream


def run(context: PartContext) -> Iterator[Output]:
    """A row for each classifier."""

    def read(columns: list[str]) -> Iterator[pa.Table]:
        return (table for _, table in context.all_inputs("scores", columns))

    rules = {name: ScoreRuleConfig.model_validate(rule) for name, rule in context.job.config["classifiers"].items()}
    yield Output(thresholds_table([find_threshold(name, rule, read) for name, rule in rules.items()]))


def schema(context: PartContext) -> pa.Schema:
    """The columns of the thresholds."""
    return THRESHOLDS


STAGE = Stage("thresholds", 1, (Upstream("scores", all_parts=True),), run, schema)
