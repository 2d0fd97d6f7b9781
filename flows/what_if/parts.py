"""What changes in one part of a crawl when its decisions are made again: counts, and which documents change.

Notable: the stages' decisions are read side by side. A stage decides on the documents that the stage before kept, in
their order, so rows are joined by place; each part is checked to have as many of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from heapq import nsmallest
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from flows.store.domain_counts import count_domains, keep_frequent
from flows.what_if.lost_keepers import COLUMNS, LostKeepers
from flows.what_if.reevaluation import Reevaluation
from tasks.base.errors import PermanentError
from tasks.dataset.parquet_opening import read_rows
from tasks.dataset.parts import open_part
from tasks.dataset.rules import Bools, Rule, passing, stored_reasons
from tasks.dataset.store import Store
from tasks.extract.language import UNKNOWN

Rows = npt.NDArray[np.int64]

NEWLY_KEPT, NEWLY_DROPPED = "newly_kept", "newly_dropped"
SIDES = ("kept_before", "kept_after", NEWLY_KEPT, NEWLY_DROPPED)


@dataclass(frozen=True)
class StageDecisions:
    """One stage's decisions in the store, and the rules by which to make them again."""

    stage: str
    folder: str
    before: tuple[Rule, ...]
    after: tuple[Rule, ...]
    reevaluation: Reevaluation
    not_measured: tuple[str, ...] = ()
    """Rules of the recipe that cannot be applied, since the run did not measure what they read."""


@dataclass(frozen=True)
class DecidedPart:
    """One part of a stage's decisions, made again; all arrays are in their order."""

    stage: StageDecisions
    decisions: pa.Table
    records: Rows
    """The rows of the extract stage's decisions that these are about."""
    reached: Bools
    """Which documents would still reach the stage."""
    stored: Mapping[str, Bools]
    """Which documents failed what."""
    failing: Mapping[str, Bools]
    """Which documents would fail what."""
    sides: Mapping[str, Bools]
    """Under `SIDES`: which were kept; would be; would be and were not; were, would reach the stage and not be kept."""

    def waiting(self) -> Bools:
        """Return which documents are removed only for reasons that no rule gives."""
        names, rows = {rule.name for rule in self.stage.after}, len(self.reached)
        pass_rules = passing((fails for name, fails in self.failing.items() if name in names), rows)
        pass_others = passing((fails for name, fails in self.failing.items() if name not in names), rows)
        waiting: Bools = self.reached & pass_rules & ~pass_others
        return waiting


class Place(NamedTuple):
    """Where a document's decisions are, in random order."""

    draw: int
    part: str
    record: int
    """Its row in the extract stage's decisions."""
    row: int
    """Its row in the decisions of the stage that decides otherwise."""


@dataclass
class Tally:
    """Counts of one stage, over the documents that have a decision there and would reach it again."""

    counts: Counter[str] = field(default_factory=Counter)
    """read_before, kept_before, read_after, kept_after, newly_kept, newly_dropped; `fixed`: documents removed only
    for reasons that no rule gives."""
    failed_before: Counter[str] = field(default_factory=Counter)
    failed_after: Counter[str] = field(default_factory=Counter)
    languages: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By language and kept_before, kept_after, newly_kept or newly_dropped."""
    domains: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By domain and newly_kept or newly_dropped."""
    chosen: dict[str, list[Place]] = field(default_factory=lambda: {NEWLY_KEPT: [], NEWLY_DROPPED: []})
    """Some documents of each changed side."""
    lost_keepers: LostKeepers = field(default_factory=LostKeepers)
    """Clusters of duplicates that lose a document."""

    def add(self, other: Tally, samples: int) -> None:
        """Add another part's counts."""
        self.counts.update(other.counts)
        self.failed_before.update(other.failed_before)
        self.failed_after.update(other.failed_after)
        self.languages.update(other.languages)
        self.domains = keep_frequent(self.domains + other.domains)
        self.lost_keepers.add(other.lost_keepers)
        for side, places in other.chosen.items():
            self.chosen[side] = nsmallest(samples, [*self.chosen[side], *places])


def decide_part(
    store: Store, part: str, stages: Sequence[StageDecisions], more_columns: Sequence[str] = ()
) -> Iterator[DecidedPart]:
    """Decide again on one part of `stages`, which leave none out after extract, with `more_columns` of the last one."""
    records: Rows = np.arange(0)
    reached: Bools = np.ones(0, np.bool_)
    for place, stage in enumerate(stages):
        path = f"{stage.folder}/{part}"
        more = more_columns if stage is stages[-1] else ()
        decisions = read_columns(store, path, ["kept", *stage.reevaluation.columns, *more])
        if place == 0:
            records, reached = np.arange(decisions.num_rows), np.ones(decisions.num_rows, np.bool_)
        if decisions.num_rows != len(records):
            raise PermanentError(
                f"{store.location(path)} has {decisions.num_rows:,} decisions, but the stage before kept "
                f"{len(records):,} documents. Run the recipe of that run again; it rebuilds what does not fit."
            )
        stored = stored_reasons(decisions["reasons"])
        failing = stage.reevaluation.failing(decisions, stored)
        before: Bools = decisions["kept"].to_numpy()
        after = passing(failing.values(), len(records)) & reached
        sides = (before, after, after & ~before, reached & before & ~after)
        yield DecidedPart(stage, decisions, records, reached, stored, failing, dict(zip(SIDES, sides, strict=True)))
        records, reached = records[before], after[before]


def tally_part(store: Store, part: str, index: int, stages: Sequence[StageDecisions], samples: int) -> dict[str, Tally]:
    """Count one part of every stage."""
    path = f"{stages[0].folder}/{part}"
    languages = _languages(store, path)
    urls = cache(lambda: read_columns(store, path, ["url"])["url"].combine_chunks())  # wide, so only where needed
    tallies = {}
    for decided in decide_part(store, part, stages):
        tally = _counted(decided)
        if decided.stage.stage == "corpus" and not decided.reached.all():
            decisions = read_columns(store, f"{decided.stage.folder}/{part}", COLUMNS)
            tally.lost_keepers = LostKeepers.of_part(decisions, decided.reached, decided.waiting())
        _count_languages(tally, languages.take(pa.array(decided.records)), decided)
        for side in (NEWLY_KEPT, NEWLY_DROPPED):
            rows = np.flatnonzero(decided.sides[side])
            domains = count_domains(urls().take(pa.array(decided.records[rows]))) if len(rows) else {}
            tally.domains.update({(domain, side): count for domain, count in domains.items()})
            tally.chosen[side] = _draw(part, index, decided.records, rows, samples)
        tallies[decided.stage.stage] = tally
    return tallies


def _counted(decided: DecidedPart) -> Tally:
    reached, failing = decided.reached, decided.failing
    tally = Tally()
    masks = {**decided.sides, "read_before": np.ones(len(reached), np.bool_), "read_after": reached}
    tally.counts.update({name: int(rows.sum()) for name, rows in masks.items()}, fixed=int(decided.waiting().sum()))
    tally.failed_before.update({name: int(fails.sum()) for name, fails in decided.stored.items()})
    tally.failed_after.update({name: int((fails & reached).sum()) for name, fails in failing.items()})
    return tally


def _count_languages(tally: Tally, languages: pa.Array, decided: DecidedPart) -> None:
    codes, names = languages.indices.to_numpy(), languages.dictionary.to_pylist()
    for what, rows in decided.sides.items():
        counts = np.bincount(codes[rows], minlength=len(names))
        tally.languages.update({(name, what): int(count) for name, count in zip(names, counts, strict=True) if count})


def _draw(part: str, index: int, records: Rows, rows: Rows, samples: int) -> list[Place]:
    """Draw some of the rows at random, the same ones every time."""
    # SplitMix64 of the document's place.
    mixed = (np.uint64(index) << np.uint64(40)) + rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    least = np.argsort(mixed, kind="stable")[:samples]
    return [Place(int(mixed[at]), part, int(records[rows[at]]), int(rows[at])) for at in least]


def _languages(store: Store, path: str) -> pa.Array:
    """Return the dictionary-encoded languages of a part's records, "un" where unknown."""
    # Of a page that was removed for its language, only a guess is known.
    known = [name for name in ("language", "guessed_language") if name in column_names(store, path)]
    table = read_columns(store, path, known)
    return pc.coalesce(*(table[name].combine_chunks() for name in known), UNKNOWN).dictionary_encode()


def read_columns(store: Store, path: str, columns: Sequence[str]) -> pa.Table:
    """Read some columns of a whole part. Raises `PermanentError` that names a missing or damaged file."""
    with open_part(store, path) as parquet:
        return read_rows(parquet, list(dict.fromkeys(columns)))


def read_row(store: Store, path: str, columns: Collection[str], row: int) -> pa.Table:
    """Read one row as a table, from its row group alone; columns that the part lacks are left out."""
    with open_part(store, path) as parquet:
        there = [name for name in parquet.schema_arrow.names if name in columns]
        for group in range(parquet.num_row_groups):
            rows = parquet.metadata.row_group(group).num_rows
            if row < rows:
                return read_rows(parquet, there, group).slice(row, 1)
            row -= rows
        raise PermanentError(f"{store.location(path)} changed while it was read: ask again.")


def column_names(store: Store, path: str) -> list[str]:
    """Return the columns that a part has."""
    with open_part(store, path) as parquet:
        return list(parquet.schema_arrow.names)
