"""What a stage is: everything that is true of one, in one record that its own file makes.

Notable: a stage's function never opens its own output and never knows whether its part is built or rebuilt;
`tasks.part_runner` does that, the same way for all of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias, TypeVar

import pyarrow as pa

from tasks.base.config import Config
from tasks.base.errors import PermanentError
from tasks.dataset.manifest import Manifest, dataset_folder, part_path, read_manifest
from tasks.dataset.parts import read_part, read_parts
from tasks.dataset.rules import Rule
from tasks.dataset.store import Store

C = TypeVar("C", bound=Config)

OWN_CODE = "own_code"
"""The entry of a configuration that holds the code of a stage of the user's own."""


class Progress(Protocol):
    """Where the work reports to its supervisor how far it is."""

    def at(self, position: int) -> None:
        """Report that the record at `position` is worked on next."""


class NoProgress:
    """Progress that is not watched, for work done in the same process."""

    def at(self, position: int) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Output:
    """Some rows, some decisions and some counts, in the order in which they are written."""

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
    file: str = ""
    """The file of the crawl that the part is made from, below the source's base."""
    skip: dict[int, str] = field(default_factory=dict)
    """Records known to break the worker, by offset, with the reason: they become decisions, unread."""
    part_fingerprint: str = ""
    """What a part of the stage means, whichever dataset it is in; written to its footer."""
    read_from: str = ""
    """Where the stage finds what `inputs` covers, as its own `parts` wrote it."""
    limit: int | None = None
    """Most documents to read of the file; None: all. `inputs` covers it."""
    stand_ins: dict[str, str] = field(default_factory=dict)
    """The stages of the user's own that it reads, by the stage in whose place it reads them."""

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
        """Return the stage's configuration, validated again as `kind`."""
        return kind.model_validate({name: value for name, value in self.job.config.items() if name != OWN_CODE})

    def input(self, stage: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows of the upstream part with this part's index, a row group at a time."""
        return read_part(self.store, part_path(*self._upstream(stage), self.job.index), columns)

    def manifest(self, stage: str) -> Manifest:
        """Return the manifest of an upstream dataset; `PermanentError` where that is not finished."""
        name, fingerprint = self._upstream(stage)
        manifest = read_manifest(self.store, name, fingerprint)
        if manifest is None:
            dataset = self.store.location(dataset_folder(name, fingerprint))
            raise PermanentError(f"The dataset {dataset} is not finished: run the stage {name!r} first.")
        return manifest

    def all_inputs(
        self, stage: str, columns: list[str] | None = None, parts: Sequence[int] | None = None
    ) -> Iterator[tuple[int, pa.Table]]:
        """Yield the rows of these parts of an upstream dataset, by default all, as (place among them, row group)."""
        indices = range(len(self.manifest(stage).parts)) if parts is None else parts
        paths = [part_path(*self._upstream(stage), index) for index in indices]
        return read_parts(self.store, paths, columns)

    def reader(self, stage: str) -> Callable[[list[str]], Iterator[pa.Table]]:
        """Return a function that yields some columns of a whole upstream dataset, each time that it is called."""
        return lambda columns: (table for _, table in self.all_inputs(stage, columns))

    def _upstream(self, stage: str) -> tuple[str, str]:
        """Return the name and the fingerprint of the dataset that is read as that of `stage`."""
        name = self.job.stand_ins.get(stage, stage)
        return name, self.job.upstream[name]


@dataclass(frozen=True)
class DatasetContext:
    """What a stage sees of the world when its parts are counted, before any of them is built."""

    store: Store
    fingerprint: str
    config: dict[str, Any]
    """The part of the recipe that the stage reads."""
    upstream: dict[str, str]
    """Fingerprint of each stage it builds on."""
    manifests: Mapping[str, Manifest]
    """The finished datasets that it builds on, by stage."""
    source: dict[str, Any]
    """Where the crawl is and how to reach it."""
    part_fingerprint: str = ""
    """What a part of the stage means, whichever dataset it is in."""
    log: Callable[[str], None] = lambda message: None
    """Takes a line for whoever watches the run."""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    """The stages of the user's own that it reads, by the stage in whose place it reads them."""


@dataclass(frozen=True)
class PartInput:
    """What a part is made from beside the datasets upstream. This is all that makes two parts of a stage differ.

    A part whose inputs another dataset of the store has had already is taken over from there, whatever its index, so
    `file` and `digest` name content and never a place in a list: a source that grows, or is listed in another order,
    keeps its parts. Where the content under a name may change, such as a user's own file, the digest covers it.
    """

    file: str = ""
    """A file of the crawl, below the source's base."""
    digest: str = ""
    """Digest of anything else."""
    read_from: str = ""
    """Where the stage finds it. Not part of the input: what is elsewhere and equal is the same input."""
    limit: int | None = None
    """Most documents to read of the file; None: all. Where there is one, the digest covers it."""


@dataclass(frozen=True)
class Upstream:
    """A stage that this one builds on."""

    stage: str
    all_parts: bool = False
    """Whether each part is made from all parts of that stage; otherwise part i is made from its part i."""
    in_part_inputs: bool = False
    """Whether `parts` says, in each part's own digest, what of that stage the part is made from."""
    when: Callable[[Any], Any] | None = None
    """In which recipes it builds on it; None: in all of them."""


@dataclass(frozen=True)
class Scratch:
    """What a stage leaves in the store beside its rows, for the stage that runs with it."""

    is_there: Callable[[PartJob], bool]
    """Whether what a finished job left is still there, unchanged."""
    drop: Callable[[PartJob], None]
    """Remove it, once the stage that runs with this one has read it."""


Schema: TypeAlias = pa.Schema | Callable[[PartContext], pa.Schema]
"""Columns; a function where they depend on the configuration."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A named transformation of parts. The whole file of a stage that keeps the shouting documents:

        def run(context: PartContext) -> Iterator[Output]:
            \"\"\"Yield the documents with an exclamation mark.\"\"\"
            for documents in context.input("corpus"):
                yield Output(documents.filter(pc.match_substring(documents["text"], "!")))


        STAGE = Stage(
            name="shouting",
            version=1,
            upstream=(Upstream("corpus"),),
            config_of=lambda recipe: {},
            rows=DOCUMENTS,
            run=run,
        )

    It runs once `tasks/registry.py` lists it.
    """

    name: str
    version: int
    """Raised whenever the same inputs and configuration give another output than before."""
    upstream: tuple[Upstream, ...] = ()
    config_of: Callable[[Any], Any]
    """The fields that it reads of a recipe whose crawl and files are known; None: the recipe has no such stage."""
    pace: tuple[str, ...] = ()
    """Fields of the configuration that decide where, how fast or in how much memory, and nothing that comes out."""
    choosing: tuple[str, ...] = ()
    """Fields of the configuration that decide which parts there are, and nothing of what is in one."""
    leaves_files: bool = False
    """Whether it leaves files in the store beside its rows, under the dataset's fingerprint."""
    memory: str = ""
    """What a part holds in memory where that is not one row group, for the message of a worker that runs out of it."""
    rows: Schema
    decisions: Schema | None = None
    """The columns of its decisions; None: it makes none."""
    run: Callable[[PartContext], Iterator[Output]]
    parts: Callable[[DatasetContext], Sequence[PartInput]] | None = None
    """Its parts; None: as many as the first upstream stage that is not read whole, or one where all are."""
    runs_with: str | None = None
    """The stage upstream whose part i is followed by part i of this one at once, in the same task."""
    scratch: Scratch | None = None
    check_failures: Callable[[Sequence[PartJob], int], None] | None = None
    """Raises where too many parts count as `failed`, given their jobs and the number of all parts."""
    rules: Callable[[Mapping[str, Mapping[str, Any]]], tuple[Rule, ...]] | None = None
    """The rules by which it decides on signals, given each planned stage's configuration by name; None: by none."""
    rule_fields: tuple[str, ...] = ()
    """Fields of the configuration, dotted, that change what rules decide and nothing that is measured."""
    in_place_of: str | None = None
    """Of a stage of the user's own: the stage upstream whose documents all later stages then read from this one."""

    def schema(self, columns: Schema, context: PartContext) -> pa.Schema:
        """Return `rows` or `decisions` as it is for one part."""
        return columns if isinstance(columns, pa.Schema) else columns(context)

    @property
    def mapped(self) -> str | None:
        """The stage upstream whose parts correspond to its own; None: there is none."""
        return next((upstream.stage for upstream in self.upstream if not upstream.all_parts), None)

    def reading(self, stand_ins: Mapping[str, str]) -> "Stage":
        """Return the stage with other stages upstream in place of some."""
        if not stand_ins:
            return self
        upstream = (replace(one, stage=stand_ins.get(one.stage, one.stage)) for one in self.upstream)
        return replace(self, upstream=tuple(upstream))

    def meaning(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a configuration that decide what comes out."""
        return {name: value for name, value in config.items() if name not in self.pace}

    def part_meaning(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a configuration that decide what is in a part made from given inputs."""
        return {name: value for name, value in self.meaning(config).items() if name not in self.choosing}
