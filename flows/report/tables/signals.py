"""How the measured signals are spread over the documents a stage kept and those it removed, beside its thresholds.

Notable: it reads decisions, not texts, and a bounded number of row groups; a histogram says how many were looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as types

from flows.store.datasets import part_schema, sampled_tables, stage_decisions, stage_folder
from flows.store.judging_stages import JUDGING_STAGES, plans_of, rules_of
from flows.store.run_record import RunRecord
from tasks.classify.lowest_kept import LOWEST_KEPT, read_lowest_kept
from tasks.classify.score_rules import KeepTop
from tasks.dataset.rules import Threshold
from tasks.dataset.store import Store

_BINS = 36
_SHOWN_QUANTILES = (0.002, 0.998)
"""Values beyond these are counted in the outermost bins."""

_BEYOND = 1.25
"""How far beyond the last threshold one sees."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SignalHistogram:
    """One signal's distribution."""

    signal: str
    thresholds: tuple[Threshold, ...]
    """The rules that judge by it."""
    edges: tuple[float, ...]
    """Of the bins; those outermost hold all that lies beyond."""
    kept: tuple[int, ...]
    removed: tuple[int, ...]
    """Documents in each bin, removed for whatever reason."""
    is_logarithmic: bool
    """Whether the bins grow by a factor."""
    whole_numbers: bool
    """Whether the signal is a count, and the bins' edges lie between the numbers."""
    failing: int
    """Documents on the wrong side of a threshold."""

    def boundary(self, test: Threshold) -> float:
        """Where the values begin that fail; of counts, between two numbers."""
        if not self.whole_numbers:
            return test.limit
        return test.limit + (0.5 if test.comparison in (">", "<=") else -0.5)


@dataclass(frozen=True)
class StageSignals:
    """What one stage measured and judged by."""

    stage: str
    documents: int
    """Decisions looked at."""
    histograms: tuple[SignalHistogram, ...]


def read_signals(store: Store, record: RunRecord) -> tuple[StageSignals, ...]:
    """The signals of every judging stage, those first whose thresholds most documents fail.

    A stage by whose thresholds nobody fails is left out, unless it has signals without one.
    """
    stages = (_stage_signals(store, record, name) for name in JUDGING_STAGES if name in record.stages)
    return tuple(stage for stage in stages if any(one.failing or not one.thresholds for one in stage.histograms))


def _stage_signals(store: Store, record: RunRecord, stage: str) -> StageSignals:
    folder = stage_decisions(record, stage)
    schema = part_schema(store, folder)
    tests = [test for test in _thresholds(store, record, stage) if test.signal in schema.names]
    # The last stage's judges are chosen by the recipe, so whatever they measured is of interest.
    others = [field.name for field in schema if _is_number(field.type)] if stage == "corpus" else []
    signals = list(dict.fromkeys([*(test.signal for test in tests), *others]))
    if not signals:
        return StageSignals(stage, 0, ())
    columns = dict.fromkeys(["kept", *signals, *(column for test in tests for column in test.columns)])
    tables = [table for _, table in sampled_tables(store, folder, list(columns))]
    rows = pa.concat_tables(tables) if tables else schema.empty_table()
    histograms = (_histogram(name, [test for test in tests if test.signal == name], rows) for name in signals)
    found = [histogram for histogram in histograms if histogram]
    return StageSignals(stage, rows.num_rows, tuple(sorted(found, key=lambda one: -one.failing)))


def _thresholds(store: Store, record: RunRecord, stage: str) -> Iterator[Threshold]:
    """The stage's tests that are thresholds; where a share is kept, at the score that this came to."""
    for test in rules_of(stage, plans_of(record)):
        if isinstance(test, Threshold):
            yield test
        elif isinstance(test, KeepTop):
            tables = sampled_tables(store, stage_folder(record, "thresholds"), LOWEST_KEPT.names)
            lowest = read_lowest_kept(table for _, table in tables).get(test.classifier)
            if lowest:
                yield test.at(lowest.score)


def _is_number(kind: pa.DataType) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind))


def _histogram(signal: str, thresholds: Sequence[Threshold], rows: pa.Table) -> SignalHistogram | None:
    """The histogram of what was measured; None where nothing was, or nothing that differs or is judged by."""
    column, kept = rows[signal], rows["kept"].to_numpy()
    values = column.cast(pa.float64()).to_numpy()
    measured = np.isfinite(values)
    if not measured.any() or (not thresholds and np.ptp(values[measured]) == 0):
        return None
    limits = [test.limit for test in thresholds]
    whole_numbers = bool(types.is_integer(column.type))
    edges, is_logarithmic = _edges(values[measured], limits, whole_numbers)
    inside = np.clip(values, edges[0], edges[-1])
    counts = [np.histogram(inside[measured & who], edges)[0] for who in (kept, ~kept)]
    return SignalHistogram(
        signal,
        tuple(thresholds),
        tuple(map(float, edges)),
        tuple(map(int, counts[0])),
        tuple(map(int, counts[1])),
        is_logarithmic,
        whole_numbers,
        int(sum(test.failing(rows).sum() for test in thresholds)),
    )


def _edges(values: Floats, limits: Sequence[float], whole_numbers: bool) -> tuple[Floats, bool]:
    """Bins over nearly all values and every threshold; whether they grow by a factor."""
    low, high = (float(edge) for edge in np.quantile(values, _SHOWN_QUANTILES))
    low, high = min(low, *limits, high), max(high, *limits, low)
    if whole_numbers:
        low, high = min(low, *(limit - 1 for limit in limits), high), max(high, *(limit + 1 for limit in limits), low)
        low = max(low, 0)
    elif high in limits:
        high *= _BEYOND
    if whole_numbers and high - low <= _BINS:
        return np.arange(np.floor(low) - 0.5, np.ceil(high) + 1), False
    if whole_numbers and low >= 0:
        # Between whole numbers, or the small ones would leave bins empty; the first bin has 0 too.
        last = 2 * high if high - 1 in limits else high + 1
        return np.unique(np.round(np.geomspace(max(low, 1), last, _BINS + 1))) - 0.5, True
    if 0 <= low < (high - low) / 2:
        low = 0.0
    margin = (high - low) * 0.04 or 0.5
    return np.linspace(low if low == 0 else low - margin, high + margin, _BINS + 1), False
