"""What is told how a run goes.

Notable: an observer never changes a run. What it raises is logged once, and the run goes on without a word of it.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

from flows.prepare.planned_run import Logger
from flows.store.run_record import RunRecord
from flows.store.training_log import TrainingStep
from tasks.dataset.manifest import Manifest


class Observer:
    """Told of each step of a run; one that wants to know of some overrides those. This one does nothing.

    `record` is the run's record as it is at that moment: states, parts and seconds of its stages stand there.
    `trained` and `beat` are called in other threads than the rest, in the flow's context.
    """

    def run_began(self, record: RunRecord) -> None:
        """Hear that a run has begun."""

    def stage_began(self, record: RunRecord, stage: str, manifests: Mapping[str, Manifest]) -> None:
        """Hear that a stage has begun; `manifests` are those of the datasets that are finished, by stage."""

    def parts_done(self, record: RunRecord, stage: str, done: int, total: int) -> None:
        """Hear how many of a stage's parts are done."""

    def trained(self, record: RunRecord, stage: str, step: TrainingStep, steps: int) -> None:
        """Hear how far a training is, every few seconds and at its end; `steps` are those planned."""

    def stage_ended(self, record: RunRecord, stage: str, manifests: Mapping[str, Manifest]) -> None:
        """Hear that a stage is done, has failed or was cancelled, as the record says."""

    def beat(self, record: RunRecord) -> None:
        """Hear every few seconds that the run's process is alive."""

    def run_ended(self, record: RunRecord) -> None:
        """Hear how a run ended."""


class Observers:
    """Those of one run."""

    def __init__(self, observers: Sequence[Observer] = (), logger: Logger | None = None) -> None:
        self._observers = observers
        self._logger = logger or logging.getLogger(__name__)
        self._failed: set[Observer] = set()

    def tell(self, what: Callable[[Observer], None]) -> None:
        """Call a method of each of them."""
        for one in self._observers:
            try:
                what(one)
            except Exception as error:
                if one not in self._failed:
                    self._failed.add(one)
                    self._logger.warning("%s: %s; the run goes on without it", type(one).__name__, error)
