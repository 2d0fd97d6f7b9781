"""A run's whole record, `runs/<run>.json`: recipe, fingerprints, versions, timings, and how it ended.

Notable: it is rewritten whole after every stage, so a killed run still says how far it got; `sluice status` and
`sluice why` read these files.
"""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from pydantic import Field

from flows.recipe.settings import RunSettings
from flows.recipe.stage_plan import StagePlan
from tasks.base.config import Config
from tasks.base.errors import PermanentError
from tasks.dataset.store import Store

_RECORDED_PACKAGES = ("sluice", "prefect", "pyarrow", "trafilatura", "datasketch", "tokenizers", "torch", "accelerate")


class StageRecord(Config):
    """One stage, as a run saw it."""

    plan: StagePlan
    state: str = "planned"
    """planned | running | done | failed"""
    parts_expected: int | None = None
    """Parts the finished dataset has; None until the stage is reached."""
    parts_built: int = 0
    """Parts this run built; the others were there already."""
    seconds: float = 0.0
    """Wall-clock time this run spent on the stage."""
    summary: dict[str, Any] = Field(default_factory=dict)
    """What a program's stage left: final losses, the model's folder."""


class RunRecord(Config):
    """One recipe carried out in one store."""

    run: str
    """`<start in UTC>-<recipe name>`: sorts by time."""
    recipe: dict[str, Any]
    crawl: str
    settings: dict[str, Any]
    versions: dict[str, str]
    host: str
    """Name of the machine that the run was started on."""
    pid: int
    """Its process there."""
    started: str
    finished: str | None = None
    state: str = "running"
    """running | completed | failed"""
    error: str | None = None
    stages: dict[str, StageRecord] = Field(default_factory=dict)

    def state_now(self) -> str:
        """Return the state, or `interrupted` where the process of a running run is gone."""
        if self.state != "running" or self.host != socket.gethostname():
            return self.state
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return "interrupted"
        except PermissionError:
            pass
        return self.state


class Recorder:
    """Keeps one run's record in the store up to date."""

    def __init__(self, store: Store, record: RunRecord) -> None:
        self._store = store
        self.record = record
        self.save()

    @classmethod
    def start(
        cls, recipe: Mapping[str, Any], crawl: str, settings: RunSettings, plans: Mapping[str, StagePlan]
    ) -> Recorder:
        """Begin a new record, with every stage planned."""
        now = datetime.now(UTC)
        record = RunRecord(
            run=f"{now:%Y%m%dT%H%M%S.%f}-{recipe['name']}",
            recipe=dict(recipe),
            crawl=crawl,
            settings=settings.model_dump(mode="json"),
            versions=installed_versions(),
            host=socket.gethostname(),
            pid=os.getpid(),
            started=now.isoformat(timespec="seconds"),
            stages={name: StageRecord(plan=plan) for name, plan in plans.items()},
        )
        return cls(Store(settings.store), record)

    def stage(self, name: str, **changes: Any) -> None:
        """Change fields of one stage's record and save."""
        stages = dict(self.record.stages)
        stages[name] = stages[name].model_copy(update=changes)
        self.record = self.record.model_copy(update={"stages": stages})
        self.save()

    def add_stage(self, plan: StagePlan) -> None:
        """Add a stage that only this flow has, and save."""
        stages = {**self.record.stages, plan.name: StageRecord(plan=plan)}
        self.record = self.record.model_copy(update={"stages": stages})
        self.save()

    def finish(self, error: BaseException | None = None) -> None:
        """Write how the run ended."""
        self.record = self.record.model_copy(
            update={
                "state": "failed" if error else "completed",
                "error": str(error) if error else None,
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )
        self.save()

    def save(self) -> None:
        """Write the whole record."""
        self._store.write_bytes(f"runs/{self.record.run}.json", self.record.model_dump_json(indent=1).encode())


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide what comes out, where installed."""
    versions = {"python": platform.python_version()}
    for package in _RECORDED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def run_names(store: Store) -> list[str]:
    """Return the names of the runs in the store, oldest first."""
    return [name.removesuffix(".json") for name in store.names("runs") if name.endswith(".json")]


def read_run(store: Store, run: str) -> RunRecord:
    """Return one run's record. Raises `PermanentError` where it is damaged."""
    try:
        return RunRecord.model_validate_json(store.read_bytes(f"runs/{run}.json"))
    except ValueError as error:
        raise PermanentError(f"The run record {store.url}/runs/{run}.json is damaged: {error}") from error


def latest_run(store: Store) -> RunRecord:
    """Return the newest run's record. Raises `PermanentError` where the store has none."""
    names = run_names(store)
    if not names:
        raise PermanentError(f"The store {store.url} holds no run yet: start one with `sluice run`.")
    return read_run(store, names[-1])
