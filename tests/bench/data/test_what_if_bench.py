"""Deciding again by columns, from a part as the filter stage writes it, beside deciding on each document by itself."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flows.what_if.parts import StageDecisions, decide_part
from flows.what_if.reevaluation import Reevaluation
from tasks.dataset.parts import PartWriter
from tasks.dataset.store import Store
from tasks.filter.config import FilterConfig, filter_rules
from tasks.filter.filter import DECISIONS
from tasks.filter.profiles import SIGNALS
from tests.bench.side_by_side import median_ratio, rates_in_turn, show
from tests.tasks.filter.one_document import slow_reasons

pytestmark = pytest.mark.bench

DOCUMENTS, ROWS_PER_GROUP, DECIDED_ALONE, ROUNDS = 200_000, 1000, 2000, 5
CHANGES = {
    "one threshold": FilterConfig(thresholds={"gopher_min_words": 400}),
    "another profile": FilterConfig(profiles=("gopher",)),
    "every rule of every signal": FilterConfig(profiles=("fineweb", "datatrove", "fineweb2", "dclm")),
}
LEAST_RATIOS = {"one threshold": 20, "another profile": 10, "every rule of every signal": 2}
"""Document by document it was 80,000 a second; the last reads thirty columns, which takes nearly all its time."""


def write_decisions(folder: Path) -> tuple[Store, pa.Table]:
    """A part of invented decisions that mostly pass, in row groups as the stage writes them."""
    chance = np.random.default_rng(1)
    columns: dict[str, Any] = {
        name: pa.array(chance.random(DOCUMENTS) * (0.1 if kind == pa.float64() else 900)).cast(kind, safe=False)
        for name, kind in SIGNALS.items()
    }
    reasons = [["gopher_min_words"] if failing else [] for failing in chance.random(DOCUMENTS) < 0.1]
    columns |= {
        "id": pa.array([f"CC-MAIN-20261107013045-20261107043045-00000:{place}" for place in range(DOCUMENTS)]),
        "stage": pa.array(["filter"] * DOCUMENTS),
        "kept": pa.array([not failing for failing in reasons]),
        "reasons": pa.array(reasons, pa.list_(pa.string())),
        "language": pa.array(["en"] * DOCUMENTS),
        "language_score": pa.array(np.ones(DOCUMENTS, np.float32)),
    }
    table, store = pa.table(columns).select(DECISIONS.names), Store(str(folder))
    with PartWriter(store, "decisions/part-00000.parquet", DECISIONS, "filter", "f", "i") as writer:
        for first in range(0, DOCUMENTS, ROWS_PER_GROUP):
            writer.write(table.slice(first, ROWS_PER_GROUP))
        writer.commit({})
    return store, table


def test_a_million_decisions_a_second(tmp_path: Path) -> None:
    store, table = write_decisions(tmp_path)
    rows = table.slice(0, DECIDED_ALONE).to_pylist()
    before = filter_rules(FilterConfig())

    def by_columns(config: FilterConfig) -> float:
        after = filter_rules(config)
        stage = StageDecisions("filter", "decisions", before, after, Reevaluation(before, after))
        began = time.process_time()
        (decided,) = decide_part(store, "part-00000.parquet", [stage])
        return len(decided.sides["kept_after"]) / (time.process_time() - began)

    def alone() -> float:
        began = time.process_time()
        for row in rows:
            slow_reasons(row, CHANGES["one threshold"])
        return DECIDED_ALONE / (time.process_time() - began)

    workers = {name: lambda config=config: by_columns(config) for name, config in CHANGES.items()}
    rates = rates_in_turn({"alone": alone, **workers}, ROUNDS)
    ratios = {name: median_ratio(rates[name], rates["alone"]) for name in CHANGES}
    show("decisions a second, read and made again by columns, over deciding on each document alone", ratios)
    print("  " + "; ".join(f"{name}: {np.median(rates[name]) / 1e6:.2f} M/s" for name in rates))
    assert all(ratios[name] >= least for name, least in LEAST_RATIOS.items())
