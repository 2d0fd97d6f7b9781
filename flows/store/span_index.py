"""The span index of a run's corpus, for `sluice serve --sources`: built on demand, with the tokenizer of its model."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from flows.store.datasets import part_tables
from flows.store.run_record import RunRecord
from flows.store.working_folder import working_folder
from model.data.chat_format import ChatFormat, load_chat_format
from model.span_index.search import INDEX_FILE, Page, tokenizer_digest
from model.span_index.writer import write_span_index
from tasks.base.errors import PermanentError
from tasks.dataset.manifest import dataset_folder, read_manifest
from tasks.dataset.store import Store

_COLUMNS = ("id", "url", "title", "text")
_TEXTS_AT_ONCE = 1024


def span_index(store: Store, record: RunRecord, model: Path, report: Callable[[str], None]) -> Path:
    """Return the folder of the index of a run's corpus, and build it where there is none.

    Args:
        store: The store of the run.
        record: The run; only its own corpus is indexed, not those of other stores that its model also learns from.
        model: Its exported model's folder, on this machine.
        report: Told what is done, in sentences.
    """
    tokenizer = model / "tokenizer.json"
    digest = tokenizer_digest(tokenizer)
    fingerprint = record.stages["corpus"].plan.fingerprint
    folder = working_folder(store, record.scratch) / "cache" / "span_index" / f"{fingerprint}-{digest[:16]}"
    if (folder / INDEX_FILE).is_file():
        return folder
    manifest = read_manifest(store, "corpus", fingerprint)
    if manifest is None:
        raise PermanentError(f"The corpus of the run {record.run} is not finished or was removed: it has no sources.")
    report(f"Building the index of {manifest.rows:,} documents ...")
    chat = load_chat_format(tokenizer)
    paths = [f"{dataset_folder('corpus', fingerprint)}/{part.path}" for part in manifest.parts]
    documents = _documents(store, paths, chat)
    write_span_index(folder, documents, vocab_size=chat.vocab_size, boundary=chat.end_of_text, tokenizer=digest)
    return folder


def _documents(store: Store, paths: list[str], chat: ChatFormat) -> Iterator[tuple[Page, np.ndarray[Any, Any]]]:
    for path in paths:
        for table in part_tables(store, path, _COLUMNS):
            for batch in table.to_batches(_TEXTS_AT_ONCE):
                rows = batch.to_pylist()
                for row, ids in zip(rows, chat.encode_all([row["text"] for row in rows]), strict=True):
                    yield Page(row["id"], row["url"], row["title"] or ""), np.asarray(ids, dtype=np.uint32)
