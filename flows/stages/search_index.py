"""The search index of a corpus, for a model's tool `search`: built on demand, once for each corpus."""

from collections.abc import Callable, Iterator
from pathlib import Path

from model.tools.search import Passage, has_search_index, passages, write_search_index
from tasks.base.errors import PermanentError
from tasks.dataset.manifest import dataset_folder, read_manifest
from tasks.dataset.parts import read_part
from tasks.dataset.store import Store

_COLUMNS = ["id", "url", "text"]


def search_index(store: Store, working: Path, fingerprint: str, report: Callable[[str], None]) -> Path:
    """Return the folder of the index of a corpus, and build it where there is none.

    Args:
        store: The store of the corpus.
        working: The folder on this machine's disk with the store's layout.
        fingerprint: Which corpus.
        report: Told what is done, in sentences.
    """
    folder = working / "cache" / "search_index" / fingerprint
    if has_search_index(folder):
        return folder
    manifest = read_manifest(store, "corpus", fingerprint)
    if manifest is None:
        raise PermanentError(f"The corpus {fingerprint} is not finished or was removed: there is nothing to search in.")
    report(f"Building the search index of {manifest.rows:,} documents ...")
    paths = [f"{dataset_folder('corpus', fingerprint)}/{part.path}" for part in manifest.parts]
    write_search_index(folder, _passages(store, paths))
    return folder


def _passages(store: Store, paths: list[str]) -> Iterator[Passage]:
    for path in paths:
        for table in read_part(store, path, _COLUMNS):
            for row in table.to_pylist():
                yield from passages(row["id"], row["url"], row["text"])
