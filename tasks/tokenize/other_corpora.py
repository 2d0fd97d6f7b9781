"""Corpora that other runs have finished, as further sources of a mixture.

Notable: they are read where they lie and never copied; what comes of them here are tokens, whose ids lead to the same
WARC records as in their own store. A corpus is named by its fingerprint, and each part counts by its content, so a
corpus that is moved to another store changes nothing and one that is made anew changes what builds on it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pydantic import Field

from tasks.base.config import Config
from tasks.base.errors import PermanentError
from tasks.dataset.manifest import Manifest, part_path, read_manifest
from tasks.dataset.parts import read_part
from tasks.dataset.store import Store
from tasks.tokenize.mixture import MixtureConfig, OtherCorpus


class OtherCorporaConfig(Config):
    """Which other corpora a stage reads."""

    others: dict[str, str] = Field(default_factory=dict)
    """Fingerprints of the corpora by source name; another dataset than a corpus has its stage and a slash before it."""
    stores: dict[str, str] = Field(default_factory=dict)
    """URL of the store of each; decides only where it is read."""


def other_corpora_config(mixture: MixtureConfig | None) -> dict[str, Any]:
    """Return the fields of `OtherCorporaConfig` for a recipe's mixture, whose corpora are known by fingerprint."""
    others = mixture.others if mixture else {}
    return {
        "others": {name: corpus_name(other) for name, other in others.items()},
        "stores": {name: other.store for name, other in others.items()},
    }


def corpus_name(other: OtherCorpus) -> str | None:
    """Return how `others` names a corpus that is known by its fingerprint."""
    return other.corpus if other.dataset == "corpus" else f"{other.dataset}/{other.corpus}"


@dataclass(frozen=True)
class FinishedCorpus:
    """A corpus, or another dataset of documents, with the store it is in."""

    name: str
    store: Store
    manifest: Manifest


def corpus_documents(store: Store, corpus: str, index: int, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the documents of part `index` of a corpus named as in `others`, a row group at a time.

    Its manifest is not read: that grows with the corpus, and would be read for every part of it.
    """
    stage, _, fingerprint = corpus.rpartition("/")
    path = part_path(stage or "corpus", fingerprint, index)
    if stage != "rephrased":
        yield from read_part(store, path, columns)
        return
    # By its document's hash a rephrased one is held out with it.
    stored = ["source_text_hash" if column == "text_hash" else column for column in columns]
    for table in read_part(store, path, stored):
        yield table.select(stored).rename_columns(list(columns))


def finished_corpus(name: str, store: Store, corpus: str) -> FinishedCorpus:
    """Return a corpus by its fingerprint, as in `others`. Raises `PermanentError` where the store does not hold it."""
    stage, _, fingerprint = corpus.rpartition("/")
    manifest = read_manifest(store, stage or "corpus", fingerprint)
    if manifest is None:
        raise PermanentError(
            f"mixture.others.{name}: {store.url} holds no finished corpus {corpus}: finish the run that makes it, "
            "or name another one."
        )
    return FinishedCorpus(name, store, manifest)


def other_corpora(others: Mapping[str, str], stores: Mapping[str, str]) -> list[FinishedCorpus]:
    """Return the other corpora in the order of their names, which is that of their parts."""
    return [finished_corpus(name, Store(stores[name]), fingerprint) for name, fingerprint in sorted(others.items())]


def located(corpora: Sequence[FinishedCorpus], index: int) -> tuple[FinishedCorpus, int]:
    """Return the corpus that holds part `index` of all of them one after another, and the part's index there."""
    for corpus in corpora:
        if index < len(corpus.manifest.parts):
            return corpus, index
        index -= len(corpus.manifest.parts)
    raise PermanentError(f"The other corpora of the mixture have no part {index}; run again to plan it anew.")
