"""What a plan says of one stage.

Notable: nothing here knows the stages' code, so readers of the store (`sluice status`, `sluice chat`) start at once and
run where the data half was never installed.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field

from tasks.base.config import Config
from tasks.dataset.manifest import Manifest, dataset_folder
from tasks.dataset.stage import DatasetContext
from tasks.dataset.store import Store

PlainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]
"""A name that becomes a part of a path in the store: records in a shared store may be somebody else's."""


class StagePlan(Config):
    """One stage of one recipe."""

    name: PlainName
    version: int
    fingerprint: PlainName
    """Names the dataset: version, configuration and all that is upstream."""
    part_fingerprint: str = ""
    """What a part means beside its inputs: version, and configuration but for what decides which parts there are.
    Datasets that have it in common may have parts in common."""
    config: dict[str, Any]
    """The part of the recipe that decides what the stage makes."""
    job_config: dict[str, Any]
    """All of the recipe that the stage reads, with what decides only its pace or memory."""
    upstream: dict[str, str]
    """Fingerprints of the datasets it builds on, by stage."""
    stand_ins: dict[str, PlainName] = Field(default_factory=dict)
    """The stages of the user's own that it reads, by the stage in whose place it reads them."""
    is_training: bool = False
    """Whether it trains a model, and so leaves a metrics log and checkpoints."""

    @property
    def folder(self) -> str:
        """Where the dataset lies in the store."""
        return dataset_folder(self.name, self.fingerprint)

    def context(
        self,
        store: Store,
        manifests: Mapping[str, Manifest],
        source: dict[str, Any],
        log: Callable[[str], None] = lambda message: None,
    ) -> DatasetContext:
        """Return what the stage sees when its parts are counted; `manifests` holds all finished datasets by stage."""
        return DatasetContext(
            store=store,
            fingerprint=self.fingerprint,
            config=self.job_config,
            upstream=self.upstream,
            manifests={name: manifests[name] for name in self.upstream if name in manifests},
            source=source,
            part_fingerprint=self.part_fingerprint,
            log=log,
            stand_ins=self.stand_ins,
        )
