"""How far each stage is, as artifacts in Prefect's UI that are updated in place: parts, rate, the time that is left; of
a training its step, loss, speed and share of the devices' peak.

Notable:
- A stage that is over within seconds has none, and no artifact is updated more often than every few seconds, so what
  is shown costs next to nothing.
- An artifact's key stays the same from run to run: a run that goes on from another's checkpoint is its next version.
"""

import time
from collections.abc import Callable, Mapping
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from flows.display.numbers import duration, share, short
from flows.monitoring.artifact_key import artifact_key
from flows.monitoring.observer import Observer
from flows.store.run_record import RunRecord
from flows.store.training_log import TrainingStep
from tasks.dataset.manifest import Manifest

_PARTS_SECONDS, _TRAINING_SECONDS = 5.0, 10.0


class ProgressArtifacts(Observer):
    """The artifacts of one flow run; told inside the flow."""

    def __init__(self) -> None:
        self._shown: dict[str, _ProgressArtifact] = {}
        self._began: dict[str, tuple[float, int]] = {}

    def stage_began(self, record: RunRecord, stage: str, manifests: Mapping[str, Manifest]) -> None:
        """Begin to measure."""
        self._began.pop(stage, None)

    def parts_done(self, record: RunRecord, stage: str, done: int, total: int) -> None:
        """Show that so many parts are done."""
        began, before = self._began.setdefault(stage, (time.monotonic(), done))
        key = artifact_key(f"progress-{stage}", record)
        self._show(key, _PARTS_SECONDS, done, total, lambda: _of_parts(stage, done, total, before, began))

    def trained(self, record: RunRecord, stage: str, step: TrainingStep, steps: int) -> None:
        """Show how far a training is."""
        key = artifact_key(f"training-{stage}", record)
        self._show(key, _TRAINING_SECONDS, step.step, steps, lambda: _of_training(stage, step, steps))

    def _show(self, key: str, pause: float, done: int, total: int, words: Callable[[], str]) -> None:
        self._shown.setdefault(key, _ProgressArtifact(key, pause)).show(done, total, words)


class _ProgressArtifact:
    """One artifact, made at the second look at the earliest."""

    def __init__(self, key: str, pause: float) -> None:
        self._key = key
        self._pause = pause
        self._artifact: UUID | None = None
        self._shown: float | None = None

    def show(self, done: int, total: int, words: Callable[[], str]) -> None:
        now = time.monotonic()
        if self._shown is None:
            self._shown = now
        if now - self._shown < self._pause and not (self._artifact and done == total):
            return
        self._shown = now
        percent = 100.0 * done / total if total else 100.0
        if self._artifact is None:
            made = create_progress_artifact(percent, self._key, words())
            assert isinstance(made, UUID)
            self._artifact = made
        else:
            update_progress_artifact(self._artifact, percent, words())


def _of_parts(stage: str, done: int, total: int, before: int, began: float) -> str:
    words = f"{stage}: {done:,} of {total:,}"
    if (new := done - before) and (seconds := time.monotonic() - began):
        words += f", {60 * new / seconds:.3g} a minute"
        if left := total - done:
            words += f", {duration(left * seconds / new)} left"
    return words


def _of_training(stage: str, step: TrainingStep, steps: int) -> str:
    shown = {
        "step": f"{step.step:,} of {steps:,}",
        "loss": f"{step.loss:.3f}",
        "tokens": short(step.tokens),
        "tokens/s": short(step.tokens_per_second),
        **({"MFU": share(step.mfu)} if step.mfu is not None else {}),
        **({"left": duration(step.seconds_left(steps))} if step.step < steps else {}),
    }
    return f"{stage}: " + ", ".join(f"{name} {value}" for name, value in shown.items())
