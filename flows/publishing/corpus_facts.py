"""What a finished corpus holds, counted over all of it: languages, domains, licences, opt-outs, bytes.

Notable: a row group of each of a few parts is in memory, and a count for each domain, so any corpus can be counted.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from flows.store.datasets import part_schema, part_tables, value_counts
from flows.store.run_record import RunRecord, newest_runs
from tasks.base.errors import PermanentError
from tasks.dataset.manifest import Manifest, dataset_folder, read_manifest
from tasks.dataset.store import Store

_READERS = 4
_COLUMNS = ("text", "language", "domain", "license", "robots", "date")


@dataclass
class CorpusFacts:
    """Counts over all documents of a corpus."""

    documents: int = 0
    text_bytes: int = 0
    """Bytes of the texts in UTF-8."""
    languages: Counter[str] = field(default_factory=Counter)
    """Documents by language."""
    language_bytes: Counter[str] = field(default_factory=Counter)
    domains: Counter[str] = field(default_factory=Counter)
    """Documents by registered domain; "" where a document has no address."""
    domain_bytes: Counter[str] = field(default_factory=Counter)
    licenses: Counter[str] = field(default_factory=Counter)
    """Documents by the licence that the page declares, unverified."""
    opt_outs: Counter[str] = field(default_factory=Counter)
    """Documents by directive for robots; one may have several."""
    first_date: str | None = None
    last_date: str | None = None
    """When the first and the last page was fetched, yyyy-mm-dd."""

    def add(self, other: "CorpusFacts") -> None:
        """Add the counts of another part."""
        self.documents += other.documents
        self.text_bytes += other.text_bytes
        for name in ("languages", "language_bytes", "domains", "domain_bytes", "licenses", "opt_outs"):
            getattr(self, name).update(getattr(other, name))
        dates = [date for date in (self.first_date, other.first_date) if date]
        self.first_date = min(dates, default=None)
        self.last_date = max([date for date in (self.last_date, other.last_date) if date], default=None)


def finished_corpus(store: Store) -> tuple[RunRecord, Manifest]:
    """Return the newest run whose corpus is finished, and its manifest. Raises PermanentError where there is none."""
    for record in newest_runs(store):
        if "corpus" in record.stages:
            manifest = read_manifest(store, "corpus", record.stages["corpus"].plan.fingerprint)
            if manifest:
                _require_columns(store, manifest)
                return record, manifest
    raise PermanentError(f"The store {store.url} holds no finished corpus yet: `sluice corpus RECIPE` makes one.")


def _require_columns(store: Store, manifest: Manifest) -> None:
    there = part_schema(store, dataset_folder(manifest.stage, manifest.fingerprint)).names
    if missing := [name for name in _COLUMNS if there and name not in there]:
        raise PermanentError(
            f"The corpus in {store.url} was made by an earlier version, and its documents have no {', '.join(missing)}:"
            " run `sluice corpus` with its recipe again."
        )


def read_corpus_facts(store: Store, manifest: Manifest) -> CorpusFacts:
    """Count a corpus."""
    folder = dataset_folder(manifest.stage, manifest.fingerprint)
    total = CorpusFacts()
    with ThreadPoolExecutor(_READERS) as readers:
        for facts in readers.map(partial(_read_part, store), [f"{folder}/{part.path}" for part in manifest.parts]):
            total.add(facts)
    return total


def _read_part(store: Store, path: str) -> CorpusFacts:
    facts = CorpusFacts()
    for table in part_tables(store, path, _COLUMNS):
        facts.add(facts_of(table))
    return facts


def facts_of(documents: pa.Table) -> CorpusFacts:
    """Count the documents of one table."""
    sizes = pc.binary_length(documents["text"])
    dates = pc.min_max(documents["date"]).as_py()
    return CorpusFacts(
        documents=documents.num_rows,
        text_bytes=pc.sum(sizes).as_py() or 0,
        languages=Counter(value_counts(documents["language"])),
        language_bytes=_summed(documents["language"], sizes),
        domains=Counter(value_counts(documents["domain"])),
        domain_bytes=_summed(documents["domain"], sizes),
        licenses=Counter(value_counts(documents["license"])),
        opt_outs=Counter(value_counts(pc.list_flatten(documents["robots"]))),
        first_date=dates["min"] and dates["min"].date().isoformat(),
        last_date=dates["max"] and dates["max"].date().isoformat(),
    )


def _summed(keys: pa.ChunkedArray, sizes: pa.ChunkedArray) -> Counter[str]:
    grouped = pa.table({"key": keys, "size": sizes}).group_by("key").aggregate([("size", "sum")]).to_pydict()
    return Counter(
        {key: size or 0 for key, size in zip(grouped["key"], grouped["size_sum"], strict=True) if key is not None}
    )
