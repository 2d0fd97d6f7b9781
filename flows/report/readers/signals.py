"""The distributions of the measured signals over the documents that a stage kept and removed, beside its thresholds.

Notable: only decisions are read, of a bounded number of row groups; `documents` says how many.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as types

from flows.store.datasets import part_schema, sampled_tables, stage_decisions
from flows.store.deciding_stages import DECIDING_STAGES, deciding_stages, lowest_scores, plans_of, rules_of
from flows.store.run_record import RunRecord
from tasks.classify.score_rules import KeepTop
from tasks.dataset.rules import Threshold
from tasks.dataset.store import Store

_BINS = 36
_SHOWN_QUANTILES = (0.002, 0.998)
"""Values beyond these are counted in the outermost bins."""

_BEYOND = 1.25
"""How far the axis reaches beyond the last threshold, as a factor."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SignalHistogram:
    """One signal's distribution."""

    signal: str
    thresholds: tuple[Threshold, ...]
    """The rules that read it."""
    edges: tuple[float, ...]
    """Of the bins; the outermost ones hold all values beyond them."""
    kept: tuple[int, ...]
    removed: tuple[int, ...]
    """Documents in each bin, removed for whatever reason."""
    is_logarithmic: bool
    """Whether the bins grow by a factor."""
    whole_numbers: bool
    """Whether the signal is a count, and the bins' edges lie between the numbers."""
    failing: int
    """Documents on the wrong side of a threshold."""

    def boundary(self, rule: Threshold) -> float:
        """Return where the failing values begin; of counts, between two numbers."""
        if not self.whole_numbers:
            return rule.limit
        return rule.limit + (0.5 if rule.comparison in (">", "<=") else -0.5)


@dataclass(frozen=True)
class StageSignals:
    """What one stage measured."""

    stage: str
    documents: int
    """Decisions looked at."""
    histograms: tuple[SignalHistogram, ...]


def read_signals(store: Store, record: RunRecord) -> tuple[StageSignals, ...]:
    """Read the signals of every stage with rules, those first whose thresholds most documents fail.

    A stage whose thresholds no document fails is left out, unless it has signals without one.
    """
    stages = (_stage_signals(store, record, name) for name in deciding_stages(plans_of(record)))
    return tuple(stage for stage in stages if any(one.failing or not one.thresholds for one in stage.histograms))


def _stage_signals(store: Store, record: RunRecord, stage: str) -> StageSignals:
    folder = stage_decisions(record, stage)
    schema = part_schema(store, folder)
    rules = [rule for rule in _thresholds(store, record, stage) if rule.signal in schema.names]
    # The recipe chooses the checks of the last stage, and those of the user's own, so all they measured is of interest.
    numbers = [field.name for field in schema if types.is_integer(field.type) or types.is_floating(field.type)]
    is_chosen = stage == "corpus" or stage not in DECIDING_STAGES
    signals = list(dict.fromkeys([*(rule.signal for rule in rules), *(numbers if is_chosen else ())]))
    if not signals:
        return StageSignals(stage, 0, ())
    columns = dict.fromkeys(["kept", *signals, *(column for rule in rules for column in rule.columns)])
    tables = [table for _, table in sampled_tables(store, folder, list(columns))]
    rows = pa.concat_tables(tables) if tables else schema.empty_table()
    histograms = (_histogram(name, [rule for rule in rules if rule.signal == name], rows) for name in signals)
    found = [histogram for histogram in histograms if histogram]
    return StageSignals(stage, rows.num_rows, tuple(sorted(found, key=lambda one: -one.failing)))


def _thresholds(store: Store, record: RunRecord, stage: str) -> Iterator[Threshold]:
    """Yield the stage's rules that are thresholds; where a share is kept, at its lowest score."""
    lowest = lowest_scores(store, record)
    for rule in rules_of(stage, plans_of(record)):
        if isinstance(rule, Threshold):
            yield rule
        elif isinstance(rule, KeepTop) and rule.classifier in lowest:
            yield rule.at(lowest[rule.classifier])


def _histogram(signal: str, thresholds: Sequence[Threshold], rows: pa.Table) -> SignalHistogram | None:
    """Return the histogram of a signal; None where none was measured, or all are equal and no rule reads them."""
    column, kept = rows[signal], rows["kept"].to_numpy()
    values = column.cast(pa.float64()).to_numpy()
    measured = np.isfinite(values)
    if not measured.any() or (not thresholds and np.ptp(values[measured]) == 0):
        return None
    limits = [rule.limit for rule in thresholds]
    whole_numbers = bool(types.is_integer(column.type))
    edges, is_logarithmic = _edges(values[measured], limits, whole_numbers)
    inside = np.clip(values, edges[0], edges[-1])
    counts = [np.histogram(inside[measured & side], edges)[0] for side in (kept, ~kept)]
    failing = int(sum(rule.failing(rows).sum() for rule in thresholds))
    ends, kept_in, removed_in = (tuple(values.tolist()) for values in (edges, *counts))
    return SignalHistogram(signal, tuple(thresholds), ends, kept_in, removed_in, is_logarithmic, whole_numbers, failing)


def _edges(values: Floats, limits: Sequence[float], whole_numbers: bool) -> tuple[Floats, bool]:
    """Return bins over nearly all values and every threshold, and whether they grow by a factor."""
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
        # Edges lie between whole numbers, or bins of small ones would be empty; the first bin has 0 too.
        last = 2 * high if high - 1 in limits else high + 1
        return np.unique(np.round(np.geomspace(max(low, 1), last, _BINS + 1))) - 0.5, True
    if 0 <= low < (high - low) / 2:
        low = 0.0
    margin = (high - low) * 0.04 or 0.5
    return np.linspace(low if low == 0 else low - margin, high + margin, _BINS + 1), False
