"""packing: the plan that says which stretch of which document stands where in which training sequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.packing import PackingConfig, best_fit, packing_counters, plan_table
from tasks.schemas import PACKING
from tasks.stages.stage import Output, PartContext, Stage, Upstream
from tasks.tokenization import TRAIN


def run(context: PartContext) -> Iterator[Output]:
    """The whole plan, made from the lengths of the training documents alone."""
    config = context.config(PackingConfig)
    parts, rows, lengths = ([np.empty(0, dtype=np.int32)] for _ in range(3))
    first_row: Counter[int] = Counter()
    for index, table in context.all_inputs("tokens", ["tokens", "split"]):
        training = np.flatnonzero(pc.equal(table["split"], TRAIN).to_numpy(zero_copy_only=False))
        rows.append((first_row[index] + training).astype(np.int32))
        parts.append(np.full(len(training), index, dtype=np.int32))
        lengths.append(pc.list_value_length(table["tokens"]).to_numpy()[training].astype(np.int32))
        first_row[index] += table.num_rows
    plan = best_fit(np.concatenate(lengths), config.capacity, config.seed)
    table = plan_table(np.concatenate(parts), np.concatenate(rows), plan)
    yield Output(table, counters=packing_counters(plan, config.capacity))


def schema(context: PartContext) -> pa.Schema:
    """The columns of the plan."""
    return PACKING


STAGE = Stage("packing", 1, (Upstream("tokens", all_parts=True),), run, schema)
