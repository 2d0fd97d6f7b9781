"""What a stage is: a name, a version, what it builds on, and a function from one part's inputs to its rows.

Notable: a stage's function never opens its own output and never knows whether its part is being built or rebuilt;
`tasks.part_runner` does that, the same way for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from tasks.base.config import Config
from tasks.base.errors import PermanentError
from tasks.base.fingerprint import digest
from tasks.dataset.manifest import Manifest, part_path, read_manifest
from tasks.dataset.parts import read_part
from tasks.dataset.store import Store

C = TypeVar("C", bound=Config)


class Progress(Protocol):
    """Where the work tells its supervisor how far it is."""

    def at(self, position: int) -> None:
        """The record at `position` is about to be worked on."""


class NoProgress:
    """Progress that nobody watches, for work done in the same process."""

    def at(self, position: int) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Upstream:
    """A stage that this one builds on, and whether its part i is made from part i or from all parts."""

    stage: str
    all_parts: bool = False
    optional: bool = False
    """Whether there are recipes in which this stage does not build on it."""


@dataclass(frozen=True)
class Output:
    """Some rows, some decisions and some counts, in the order they are to be written."""

    rows: pa.Table | None = None
    decisions: pa.Table | None = None
    counters: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PartJob:
    """Everything that is needed to build one part, as plain values that travel between processes."""

    store: str
    """URL of the store."""
    stage: str
    fingerprint: str
    index: int
    """Which part."""
    inputs: str
    """Digest of what the part is made from; written to its footer."""
    config: dict[str, Any]
    """The part of the recipe that the stage reads."""
    upstream: dict[str, str]
    """Fingerprint of each stage it builds on."""
    source: dict[str, Any] = field(default_factory=dict)
    """Where the crawl is and how to reach it: decides how bytes come, never what comes out."""
    skip: dict[int, str] = field(default_factory=dict)
    """Records known to break the worker, by offset, with the reason: they become decisions, unread."""

    @property
    def path(self) -> str:
        """Where the part goes in the store."""
        return part_path(self.stage, self.fingerprint, self.index)


@dataclass(frozen=True)
class PartContext:
    """What a stage's function sees of the world."""

    job: PartJob
    store: Store
    progress: Progress

    def config(self, kind: type[C]) -> C:
        """The stage's configuration, validated again as `kind`."""
        return kind.model_validate(self.job.config)

    def input(self, stage: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The rows of the upstream part with this part's index, a row group at a time."""
        return read_part(self.store, part_path(stage, self.job.upstream[stage], self.job.index), columns)

    def manifest(self, stage: str) -> Manifest:
        """The manifest of an upstream dataset."""
        return required_manifest(self.store, stage, self.job.upstream[stage])

    def all_inputs(self, stage: str, columns: list[str] | None = None) -> Iterator[tuple[int, pa.Table]]:
        """The rows of every part of an upstream dataset, in order, as (part index, row group)."""
        for index in range(len(self.manifest(stage).parts)):
            for table in read_part(self.store, part_path(stage, self.job.upstream[stage], index), columns):
                yield index, table


@dataclass(frozen=True)
class Stage:
    """A named transformation of parts."""

    name: str
    version: int
    """Raised whenever the same inputs and configuration come out otherwise than before."""
    upstream: tuple[Upstream, ...]
    run: Callable[[PartContext], Iterator[Output]]
    rows_schema: Callable[[PartContext], pa.Schema]
    decisions_schema: Callable[[PartContext], pa.Schema] | None = None
    parts: Callable[[dict[str, Any]], int] | None = None
    """How many parts the configuration asks for; None: as many as upstream has, or one if it joins them all."""
    further_parts: Callable[[dict[str, Any]], list[str]] | None = None
    """Digests of what the parts are made from that the configuration adds to those of upstream, one for each."""


def required_manifest(store: Store, stage: str, fingerprint: str) -> Manifest:
    """The manifest of a dataset that must be finished; `PermanentError` where it is not."""
    manifest = read_manifest(store, stage, fingerprint)
    if manifest is None:
        raise PermanentError(
            f"The dataset {store.url}/datasets/{stage}/{fingerprint} is not finished: run the stage {stage!r} first."
        )
    return manifest


def inputs_digest(
    stage: Stage, index: int, count: int, manifests: Mapping[str, Manifest], further: str | None = None
) -> str:
    """Digest of all that part `index` of `count` is made from: the content of upstream parts, by stage.

    `manifests` holds those of the datasets that the plan builds on; `further` is the digest of what a part that the
    configuration adds is made from.
    """
    found = {}
    for upstream in stage.upstream:
        if upstream.optional and upstream.stage not in manifests:
            continue
        manifest = manifests[upstream.stage]
        if upstream.all_parts:
            found[upstream.stage] = manifest.digest
        elif index < len(manifest.parts):
            found[upstream.stage] = manifest.parts[index].digest
    share = {"index": index, "parts": count} if stage.parts else {"index": index}
    return digest({**share, "upstream": found, **({"further": further} if further else {})})
