"""One run: a recipe, a store, and everything the stages of a flow share."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any

from flows.engine.task_runner import Submit, to_threads
from flows.monitoring.observer import Observers
from flows.prepare.planned_run import PlannedRun
from flows.recipe.stage_plan import StagePlan
from flows.store.run_record import Recorder, RunRecord, state_after
from tasks.dataset.leases import Leases


@dataclass
class Run(PlannedRun):
    """What the stages of one flow run work with."""

    recorder: Recorder
    leases: Leases
    submit: Submit = field(default=to_threads, kw_only=True)
    """Submits a part task, to whatever runs them."""
    observers: Observers = field(default_factory=Observers, kw_only=True)
    """Who is told how the run goes."""
    stopping: Event = field(default_factory=Event, kw_only=True)
    """Set when the run is cancelled or interrupted: its workers end."""

    @contextmanager
    def stage(self, name: str) -> Iterator[StagePlan]:
        """Work on a stage, as the only run on the store: record its state and seconds, and log its end."""
        plan = self.plans[name]
        on_wait = partial(self._waits_for, name) if self.settings.when_busy == "wait" else None
        with self.leases.holding(f"{name}/{plan.fingerprint}", on_wait):
            started = time.monotonic()
            self.recorder.stage_began(name)
            self.observers.tell(lambda one: one.stage_began(self.record, name, self.manifests))
            try:
                yield plan
            except BaseException as error:
                self.recorder.stage(name, state=state_after(error), seconds=time.monotonic() - started)
                self.observers.tell(lambda one: one.stage_ended(self.record, name, self.manifests))
                raise
            seconds = time.monotonic() - started
            self.recorder.stage(name, state="done", seconds=seconds)
            self.logger.info("%s: done in %.1f s", name, seconds, extra={"stage": name, "finished": True})
            self.observers.tell(lambda one: one.stage_ended(self.record, name, self.manifests))

    def _waits_for(self, name: str, other: str) -> None:
        self.recorder.stage(name, state="waiting")
        self.logger.warning("%s: %s is building this dataset; waiting for it", name, other)

    @property
    def record(self) -> RunRecord:
        """The run's record as it is now."""
        return self.recorder.record

    def summary(self, name: str) -> dict[str, Any]:
        """Return what a stage wants remembered."""
        return self.record.stages[name].summary

    def progress(self, name: str, done: int, total: int) -> None:
        """Log and show how many parts of a stage are done. Raises PermanentError where another run took it over."""
        self.leases.check()
        self.logger.info("%s: %d of %d", name, done, total, extra={"stage": name, "done": done, "total": total})
        self.observers.tell(lambda one: one.parts_done(self.record, name, done, total))
