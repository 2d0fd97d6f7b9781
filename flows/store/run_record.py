"""A run's whole record, `runs/<run>.json`: recipe, fingerprints, versions, timings, and how it ended.

Notable: it is rewritten whole after every stage, so a killed run still says how far it got; `sluice status` and
`sluice why` read these files.
"""

from __future__ import annotations

import platform
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import metadata
from typing import Any

from pydantic import Field

from flows.recipe.settings import RunSettings
from flows.recipe.stage_plan import PlainName, StagePlan
from tasks.addresses.secrets_in_addresses import redacted
from tasks.base.config import Config
from tasks.base.errors import PermanentError
from tasks.dataset.leases import Holder
from tasks.dataset.store import Store
from tasks.workers.process_name import ProcessName, this_process

_RECORDED_PACKAGES = ("sluice", "prefect", "pyarrow", "trafilatura", "datasketch", "tokenizers", "torch", "accelerate")


_STAMP = "%Y%m%dT%H%M%S.%f"
INTERRUPTED = "interrupted"
"""State of a run whose process ended without a word."""


class StageRecord(Config):
    """One stage, as a run saw it."""

    plan: StagePlan
    state: str = "planned"
    """planned | waiting | running | done | failed | cancelled"""
    parts_expected: int | None = None
    """Parts the finished dataset has; None until the stage is reached."""
    parts_found: int = 0
    """Parts that were there when this run came to the stage."""
    parts_built: int = 0
    """Parts this run built."""
    parts_taken: int = 0
    """Parts this run took over from another dataset of the store, as they are what it would have built."""
    began: str | None = None
    """When this run began to work on it, in UTC."""
    seconds: float = 0.0
    """Wall-clock time this run spent on the stage."""
    summary: dict[str, Any] = Field(default_factory=dict)
    """What a program's stage left: final losses, the model's folder."""


class RunRecord(Config):
    """One recipe carried out in one store."""

    run: PlainName
    """`<start in UTC>-<recipe name>`: sorts by time, also where the clock was set back."""
    flow: str
    """Name of the flow, such as `crawl-to-chat`."""
    recipe: dict[str, Any]
    crawl: str
    settings: dict[str, Any]
    versions: dict[str, str]
    process: ProcessName
    """The process that carries it out."""
    flow_run: str | None = None
    """Prefect's id of it."""
    started: str
    finished: str | None = None
    state: str = "running"
    """running | completed | failed | cancelled | interrupted"""
    error: str | None = None
    stages: dict[PlainName, StageRecord] = Field(default_factory=dict)

    @property
    def holder(self) -> Holder:
        """What its leases say of it."""
        return Holder(run=self.run, process=self.process, flow_run=self.flow_run)

    @property
    def scratch(self) -> str:
        """Its local folder for training, where the store is not on a local disk."""
        return str(self.settings.get("scratch", ""))

    @property
    def seconds(self) -> float | None:
        """Wall-clock time of the whole run; None where it has no end."""
        if self.finished is None:
            return None
        return (datetime.fromisoformat(self.finished) - datetime.fromisoformat(self.started)).total_seconds()

    @property
    def report(self) -> str:
        """Path of its report below the store."""
        return f"reports/{self.run}.html"

    def is_repeated_by(self, later: RunRecord) -> bool:
        """Return whether a later run completed what this one had completed, and so built nothing."""
        if not self.state == later.state == "completed" or self.flow != later.flow:
            return False
        states = [{name: (one.plan, one.state) for name, one in run.stages.items()} for run in (self, later)]
        return states[0] == states[1] and not any(stage.parts_built for stage in later.stages.values())

    def state_now(self) -> str:
        """Return the state, or `interrupted` where the process of a running run is gone."""
        return INTERRUPTED if self.state == "running" and self.process.is_gone else self.state


class Recorder:
    """Keeps one run's record in the store up to date."""

    def __init__(self, store: Store, record: RunRecord) -> None:
        self._store = store
        self.record = record
        self._save()

    @classmethod
    def start(
        cls,
        flow: str,
        recipe: Mapping[str, Any],
        crawl: str,
        settings: RunSettings,
        plans: Mapping[str, StagePlan],
        flow_run: str | None = None,
    ) -> Recorder:
        """Begin a new record, with every stage planned."""
        now, store = datetime.now(UTC), Store(settings.store)
        record = RunRecord(
            run=f"{_stamp_after_all(store, now)}-{recipe['name']}",
            flow=flow,
            recipe=dict(recipe),
            crawl=crawl,
            settings=settings.model_dump(mode="json"),
            versions=installed_versions(),
            process=this_process(),
            flow_run=flow_run,
            started=now.isoformat(timespec="seconds"),
            stages={name: StageRecord(plan=plan) for name, plan in plans.items()},
        )
        return cls(store, record)

    def stage(self, name: str, **changes: Any) -> None:
        """Change fields of one stage's record and save."""
        self._save(stages=self.record.stages | {name: self.record.stages[name].model_copy(update=changes)})

    def stage_began(self, name: str) -> None:
        """Write that a stage is worked on from now on."""
        self.stage(name, state="running", began=datetime.now(UTC).isoformat(timespec="seconds"))

    def add_stage(self, plan: StagePlan) -> None:
        """Add a stage that only this flow has, and save."""
        self._save(stages=self.record.stages | {plan.name: StageRecord(plan=plan)})

    def finish(self, error: BaseException | None = None) -> None:
        """Write how the run ended."""
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        state = state_after(error) if error else "completed"
        self._save(state=state, error=redacted(in_words(error)) if error else None, finished=finished)

    def _save(self, **changes: Any) -> None:
        """Change fields of the record and write the whole of it."""
        self.record = self.record.model_copy(update=changes)
        self._store.write_bytes(f"runs/{self.record.run}.json", self.record.model_dump_json(indent=1).encode())


def _stamp_after_all(store: Store, now: datetime) -> str:
    """Return the time for a new run's name: just after the newest run's, where the clock was set back since."""
    stamp = f"{now:{_STAMP}}"
    newest = max(store.names("runs"), default="").partition("-")[0]
    if newest < stamp:
        return stamp
    with suppress(ValueError):  # a file of somebody else's
        return f"{datetime.strptime(newest, _STAMP) + timedelta(microseconds=1):{_STAMP}}"
    return stamp


def state_after(error: BaseException) -> str:
    """Return the state of what this ended: an interrupt or a signal, rather than an error, cancels."""
    return "failed" if isinstance(error, Exception) else "cancelled"


def in_words(error: BaseException) -> str:
    """Return why a run ended, for a person."""
    if isinstance(error, Exception):
        return str(error)
    number = getattr(error, "signal", None)
    by = "Ctrl-C" if isinstance(error, KeyboardInterrupt) else signal.Signals(number).name if number else repr(error)
    return f"Cancelled by {by}. What was finished is kept: the same run goes on from there."


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide what comes out, where installed."""
    versions = {"python": platform.python_version()}
    for package in _RECORDED_PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def newest_runs(store: Store) -> Iterator[RunRecord]:
    """Yield the runs' records, newest first. Raises `PermanentError` at one that is damaged."""
    for name in reversed(store.names("runs")):
        if name.endswith(".json"):
            yield _read_run(store, f"runs/{name}")


def newest_run_of(store: Store, recipe: str) -> RunRecord | None:
    """Return the record of the newest run of the recipe with this name; None where the store has none."""
    return next((record for record in newest_runs(store) if record.recipe.get("name") == recipe), None)


def _read_run(store: Store, path: str) -> RunRecord:
    try:
        return RunRecord.model_validate_json(store.read_bytes(path))
    except ValueError as error:
        raise PermanentError(f"The run record {store.url}/{path} is damaged: {error}") from error


def is_called_running(store: Store, run: str) -> bool:
    """Return whether a run's record does not say yet how it ended."""
    path = f"runs/{run}.json"
    return store.exists(path) and _read_run(store, path).state == "running"


def mark_interrupted(store: Store, run: str) -> None:
    """Write into a run's record that its process ended without a word."""
    path = f"runs/{run}.json"
    ended = _read_run(store, path).model_copy(update={"state": INTERRUPTED})
    store.write_bytes(path, ended.model_dump_json(indent=1).encode())


def latest_run(store: Store) -> RunRecord:
    """Return the newest run's record. Raises `PermanentError` where the store has none."""
    for record in newest_runs(store):
        return record
    raise PermanentError(f"The store {store.url} holds no run yet: start one with `sluice run` or `sluice corpus`.")
