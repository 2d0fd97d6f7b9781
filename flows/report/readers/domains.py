"""The domains that the records came from, and what became of their records.

Notable: a sampled part of the crawl is followed from its records to the last finished stage, so the shares are right
even where only some parts are read; memory holds one part's addresses at a time.
"""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from flows.store.datasets import read_column, sampled_tables, stage_decisions, stage_folder
from flows.store.domain_counts import count_domains, keep_frequent
from flows.store.run_record import RunRecord
from tasks.dataset.store import Store

_SHOWN = 12


@dataclass(frozen=True)
class DomainCount:
    """One domain."""

    domain: str
    kept: int
    """Records that became documents of the last stage."""
    removed: int

    @property
    def records(self) -> int:
        """Return how many records it has."""
        return self.kept + self.removed


@dataclass(frozen=True)
class Domains:
    """The domains of the records looked at."""

    records: int
    domains: int
    """How many there are; a lower bound where there are very many."""
    last_stage: str
    """The stage whose documents count as kept."""
    most_read: tuple[DomainCount, ...]
    most_kept: tuple[DomainCount, ...]


def read_domains(store: Store, record: RunRecord) -> Domains:
    """Read the most frequent domains over a bounded sample of the records."""
    last = next((name for name in ("corpus", "filter") if record.stages[name].state == "done"), "extract")
    read, kept = Counter[str](), Counter[str]()
    part, documents = "", pa.array([], pa.string())
    there = set(store.names(stage_folder(record, last)))
    for name, table in sampled_tables(store, stage_decisions(record, "extract"), ["id", "url"]):
        if name not in there:  # the run is in the middle of it
            continue
        if name != part:
            part, documents = name, read_column(store, f"{stage_folder(record, last)}/{name}", "id")
        stays = pc.is_in(table["id"], value_set=documents)
        read = keep_frequent(read + count_domains(table["url"]))
        kept += count_domains(table["url"].filter(stays))
    found = [DomainCount(name, kept[name], count - kept[name]) for name, count in read.items()]
    return Domains(
        records=sum(one.records for one in found),
        domains=len(found),
        last_stage=last,
        most_read=tuple(sorted(found, key=lambda one: (-one.records, one.domain))[:_SHOWN]),
        most_kept=tuple(sorted(found, key=lambda one: (-one.kept, one.removed, one.domain))[:_SHOWN]),
    )
