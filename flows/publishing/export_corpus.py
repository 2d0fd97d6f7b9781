"""The corpus of a store as a dataset for others: Parquet under plain names, a card, and its Croissant description.

Notable: rows and columns are those of the store, in their order; only the store's own footers are left out.
"""

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq

from flows.publishing.corpus_facts import CorpusFacts, facts_of, finished_corpus
from flows.publishing.croissant import ExportedFile, croissant
from flows.publishing.dataset_card import dataset_card
from flows.store.new_folder import new_folder
from tasks.dataset.manifest import Manifest, dataset_folder
from tasks.dataset.parquet_opening import read_rows
from tasks.dataset.parts import open_part
from tasks.dataset.store import Store


def export_corpus(store: Store, destination: Path) -> CorpusFacts:
    """Write the store's newest corpus to a new folder, which appears whole or not at all; return what it holds.

    Raises UsageError where the folder is not empty, PermanentError where the store has no corpus.
    """
    record, manifest = finished_corpus(store)
    facts = CorpusFacts()
    with new_folder(destination) as folder:
        files = [_copy(store, manifest, place, folder, facts) for place in range(len(manifest.parts))]
        card = dataset_card(record, manifest, facts)
        (folder / "README.md").write_text(card, encoding="utf-8")
        described = croissant(record, facts, files)
        (folder / "croissant.json").write_text(json.dumps(described, indent=1, ensure_ascii=False), encoding="utf-8")
    return facts


def _copy(store: Store, manifest: Manifest, place: int, folder: Path, facts: CorpusFacts) -> ExportedFile:
    """Write one part under its plain name, and count its documents on the way."""
    source = f"{dataset_folder(manifest.stage, manifest.fingerprint)}/{manifest.parts[place].path}"
    name = f"data/train-{place:05d}-of-{len(manifest.parts):05d}.parquet"
    target = folder / name
    target.parent.mkdir(exist_ok=True)
    with (
        open_part(store, source) as parquet,
        pq.ParquetWriter(target, parquet.schema_arrow.remove_metadata(), compression="zstd") as writer,
    ):
        for group in range(parquet.num_row_groups):
            table = read_rows(parquet, parquet.schema_arrow.names, group).replace_schema_metadata()
            writer.write_table(table)
            facts.add(facts_of(table))
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ExportedFile(name, target.stat().st_size, digest)
