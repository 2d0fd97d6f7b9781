"""Datasets: a stage's finished parts and the manifest that lists them.

Notable:
- The manifest is written last, so its presence says that the dataset is whole. It holds nothing of time or machine: the
  same recipe and inputs give the same manifest, byte for byte.
- It stands beside the dataset's folder, in which there is nothing but Parquet, so that any tool can read the folder.
  Older stores have it inside; there it is read too, and moved when a run next finishes the dataset.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from tasks.base.config import Config
from tasks.base.errors import PermanentError
from tasks.base.fingerprint import digest
from tasks.dataset.parts import PartFooter, part_name
from tasks.dataset.store import Store


class ManifestPart(Config):
    """One part, as the manifest lists it."""

    path: str = Field(pattern=r"^part-[0-9]{5,9}\.parquet$")
    rows: int
    bytes: int
    digest: str
    """xxh3-128 of the part's row groups."""
    inputs: str
    """Digest of what the part was made from."""
    counters: dict[str, int]


class Manifest(Config):
    """A finished dataset."""

    stage: str
    fingerprint: str
    version: int
    """The stage's own version number."""
    config: dict[str, Any]
    """The part of the recipe that this stage reads."""
    upstream: dict[str, str]
    """Fingerprints of the datasets this one was made from."""
    parts: list[ManifestPart]
    rows: int
    bytes: int
    digest: str
    """Digest over the parts' digests: equal for equal content."""
    counters: dict[str, int]
    """The parts' counters, summed."""


def dataset_folder(stage: str, fingerprint: str) -> str:
    """Return where a dataset lies in the store."""
    return f"datasets/{stage}/{fingerprint}"


def decisions_folder(stage: str, fingerprint: str) -> str:
    """Return where a stage's decisions lie in the store."""
    return f"decisions/{stage}/{fingerprint}"


def part_names(store: Store, folder: str) -> list[str]:
    """Return the file names of the parts in a dataset's or a decisions' folder, in order."""
    return [name for name in store.names(folder) if name.startswith("part-") and name.endswith(".parquet")]


def manifest_path(stage: str, fingerprint: str) -> str:
    """Return where a dataset's manifest lies in the store: beside its folder."""
    return f"{dataset_folder(stage, fingerprint)}.manifest.json"


def _manifest_inside(stage: str, fingerprint: str) -> str:
    """Return where older stores have it."""
    return f"{dataset_folder(stage, fingerprint)}/manifest.json"


def part_path(stage: str, fingerprint: str, index: int) -> str:
    """Return where part `index` of a dataset lies."""
    return f"{dataset_folder(stage, fingerprint)}/{part_name(index)}"


def write_manifest(
    store: Store,
    stage: str,
    fingerprint: str,
    version: int,
    config: Mapping[str, Any],
    upstream: Mapping[str, str],
    footers: Sequence[PartFooter],
) -> Manifest:
    """Write the manifest of a dataset whose parts are all there, and return it."""
    sizes = store.sizes(dataset_folder(stage, fingerprint))
    parts = [
        ManifestPart(
            path=part_name(index),
            rows=footer.rows,
            bytes=sizes[part_name(index)],
            digest=footer.digest,
            inputs=footer.inputs,
            counters=footer.counters,
        )
        for index, footer in enumerate(footers)
    ]
    counters: Counter[str] = Counter()
    for part in parts:
        counters.update(part.counters)
    manifest = Manifest(
        stage=stage,
        fingerprint=fingerprint,
        version=version,
        config=dict(config),
        upstream=dict(upstream),
        parts=parts,
        rows=sum(part.rows for part in parts),
        bytes=sum(part.bytes for part in parts),
        digest=digest([part.digest for part in parts]),
        counters=dict(sorted(counters.items())),
    )
    text = json.dumps(manifest.model_dump(), indent=1, sort_keys=True, ensure_ascii=False)
    store.write_bytes(manifest_path(stage, fingerprint), text.encode())
    store.remove(_manifest_inside(stage, fingerprint))
    return manifest


def read_manifest(store: Store, stage: str, fingerprint: str) -> Manifest | None:
    """Return the manifest of a finished dataset, or None where the dataset is not finished."""
    for path in (manifest_path(stage, fingerprint), _manifest_inside(stage, fingerprint)):
        try:
            data = store.read_bytes(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            return Manifest.model_validate_json(data)
        except ValueError as error:
            raise PermanentError(
                f"The manifest {store.url}/{path} is damaged: {error}. Delete it and run again; finished parts are"
                " kept."
            ) from error
    return None


def is_inside_folder(store: Store, stage: str, fingerprint: str) -> bool:
    """Return whether a dataset's manifest is still in its folder, where older stores have it."""
    return store.exists(_manifest_inside(stage, fingerprint))
