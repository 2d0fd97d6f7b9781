"""What the pages declare: licence, robots directives, language, date; and counts that no other table shows.

Notable: what a page declares is unverified. It is counted over a bounded sample of the documents.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from flows.store.datasets import (
    REMOVED,
    count_dataset,
    most_frequent,
    part_schema,
    sampled_tables,
    stage_folder,
    value_counts,
)
from flows.store.deciding_stages import deciding_stages, plans_of
from flows.store.run_record import RunRecord
from tasks.dataset.store import Store
from tasks.extract.language import UNKNOWN

_SHOWN = 8
_COLUMNS = ("title", "published", "declared_language", "license", "robots")
_FUNNEL_COUNTERS = frozenset(("read", "kept", "bytes"))
_SHOWN_ELSEWHERE = (REMOVED, "other_records.", "personal_data.", "harm.")


@dataclass(frozen=True)
class DeclaredMetadata:
    """The documents of one stage."""

    stage: str
    documents: int
    """Documents looked at."""
    declared: Mapping[str, int]
    """How many have a title, a date, a language, a licence, or restrict robots, by column."""
    other_language: int
    """Documents that declare another language than their text is in."""
    licenses: tuple[tuple[str, int], ...]
    """Most frequent first."""
    robots: tuple[tuple[str, int], ...]
    """Directives that restrict use, most frequent first; a document can have several."""
    years: tuple[tuple[str, int], ...]
    """Years of publication, the latest first."""


@dataclass(frozen=True)
class Counted:
    """Something that a stage counted and no other table shows."""

    stage: str
    what: str
    count: int


def read_page_metadata(store: Store, record: RunRecord) -> tuple[DeclaredMetadata, ...]:
    """Count what pages declare, among all with text and among those of the corpus."""
    stages = (_declared_metadata(store, record, name) for name in ("extract", "corpus") if name in record.stages)
    return tuple(stage for stage in stages if stage)


def _declared_metadata(store: Store, record: RunRecord, stage: str) -> DeclaredMetadata | None:
    folder = stage_folder(record, stage)
    columns = [name for name in _COLUMNS if name in part_schema(store, folder).names]
    if not columns:
        return None
    declared: Counter[str] = Counter()
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("license", "robots", "published")}
    documents = other_language = 0
    for _, table in sampled_tables(store, folder, [*columns, "language"]):
        documents += table.num_rows
        for name in columns:
            column = table[name]
            has_any = pc.greater(pc.list_value_length(column), 0) if name == "robots" else pc.is_valid(column)
            declared[name] += pc.sum(has_any).as_py() or 0
            if name == "robots":
                column = pc.list_flatten(column)
            elif name == "published":
                column = pc.utf8_slice_codeunits(column.cast(pa.string()), 0, 4)
            if name in counts:
                counts[name].update(value_counts(column))
        if "declared_language" in columns:
            known = table.filter(pc.not_equal(table["language"], UNKNOWN))
            other_language += pc.sum(pc.not_equal(known["declared_language"], known["language"])).as_py() or 0
    return DeclaredMetadata(
        stage,
        documents,
        dict(declared),
        other_language,
        most_frequent(counts["license"])[:_SHOWN],
        most_frequent(counts["robots"])[:_SHOWN],
        tuple(sorted(counts["published"].items(), reverse=True)),
    )


def read_counted(store: Store, record: RunRecord) -> tuple[Counted, ...]:
    """Return what the deciding stages counted beside read, kept and removed, such as charsets that were guessed."""
    return tuple(
        Counted(stage, what.replace("_", " ").replace(".", ": "), count)
        for stage in deciding_stages(plans_of(record))
        if (dataset := count_dataset(store, record, stage))
        for what, count in sorted(dataset.counters.items())
        if count and what not in _FUNNEL_COUNTERS and not what.startswith(_SHOWN_ELSEWHERE)
    )
