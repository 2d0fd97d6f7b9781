"""One run: a recipe, a store, and everything the stages of a flow share."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from flows.recipe.stage_plan import StagePlan
from flows.store.run_record import Recorder
from tasks.dataset.leases import Leases
from tasks.dataset.manifest import Manifest
from tasks.dataset.stage import DatasetContext
from tasks.dataset.store import Store
from tasks.fetch.crawl_listing import SourceConfig

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


@dataclass
class Run:
    """What the stages of one flow run work with."""

    recipe: Recipe
    settings: RunSettings
    store: Store
    source: SourceConfig
    """The source as resolved: the crawl's name, and the synthetic web's folder as base where there is one."""
    plans: dict[str, StagePlan]
    chat: dict[str, Path]
    """Local files of the conversations and the questions, where the recipe has them."""
    recorder: Recorder
    leases: Leases
    logger: Logger
    manifests: dict[str, Manifest] = field(default_factory=dict)
    """Finished datasets by stage, filled as the run goes."""

    @property
    def crawl(self) -> str:
        """The crawl's name."""
        return self.source.crawl

    @contextmanager
    def stage(self, name: str) -> Iterator[StagePlan]:
        """Work on a stage, as the only run on the store: record its state and seconds, and log its end."""
        plan = self.plans[name]
        on_wait = partial(self._waits_for, name) if self.settings.when_busy == "wait" else None
        with self.leases.holding(f"{name}/{plan.fingerprint}", on_wait):
            started = time.monotonic()
            self.recorder.stage(name, state="running")
            try:
                yield plan
            except BaseException:
                self.recorder.stage(name, state="failed", seconds=time.monotonic() - started)
                raise
            seconds = time.monotonic() - started
            self.recorder.stage(name, state="done", seconds=seconds)
            self.logger.info("%s: done in %.1f s", name, seconds, extra={"stage": name, "finished": True})

    def _waits_for(self, name: str, other: str) -> None:
        self.recorder.stage(name, state="waiting")
        self.logger.warning("%s: %s is building this dataset; waiting for it", name, other)

    def context(self, plan: StagePlan) -> DatasetContext:
        """Return what a stage sees when its parts are counted."""
        return plan.context(self.store, self.manifests, self.source.model_dump(mode="json"), self.logger.info)

    def summary(self, name: str) -> dict[str, Any]:
        """Return what a stage wants remembered."""
        return self.recorder.record.stages[name].summary

    def progress(self, name: str, done: int, total: int) -> None:
        """Log how many of a stage's parts are done. Raises PermanentError where another run has taken it over."""
        self.leases.check()
        self.logger.info("%s: %d of %d", name, done, total, extra={"stage": name, "done": done, "total": total})


def working_folder(store: Store, settings: RunSettings) -> Path:
    """Return the folder for what must be on a local disk: the store, or the scratch folder of a remote one."""
    return store.local("") if store.is_local else Path(settings.scratch).resolve()


def synthetic_web_folder(store: Store, settings: RunSettings) -> Path:
    """Return where the synthetic web is generated, with its chat data and the truth about its pages."""
    return working_folder(store, settings) / "synthetic_web"
