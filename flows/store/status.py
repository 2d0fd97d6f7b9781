"""What a store holds of its latest run: each stage's dataset, how much of it is done, and its size.

Notable: the answer comes from the run's record and from the parts themselves, so it is right during a run, after a
kill and after parts were deleted by hand.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from flows.display.numbers import duration
from flows.store.datasets import PartCount, counted_parts
from flows.store.failed_warcs import FailedWarc, failed_warcs
from flows.store.missing import Missing, attempt
from flows.store.run_record import INTERRUPTED, RunRecord, StageRecord, latest_run
from flows.store.training_log import Training, model_path, read_training
from model.base.safe_text import harmless
from tasks.base.config import Config
from tasks.dataset.manifest import read_manifest
from tasks.dataset.store import Store

_MOST_FAILED, _MOST_LINES = 1000, 12


class StageStatus(Config):
    """One stage of the latest run."""

    name: str
    state: str
    """done | waiting | running | failed | cancelled | interrupted | partial | missing"""
    fingerprint: str
    path: str
    """The dataset's folder, in full."""
    parts_done: int
    parts_expected: int | None
    """None until a run has got as far as counting them."""
    parts_failed: int = 0
    """Parts done without what they should be made from: WARC files that could not be fetched."""
    rows: int
    bytes: int
    """Of the parts; for `fetch` of the WARC files that they tell of, for a training of its model with checkpoints."""
    seconds_left: float | None = None
    """For a stage that runs: how long the rest takes at its speed so far; None where that is not known yet."""


class StoreStatus(Config):
    """The latest run and its stages."""

    run: str
    recipe: str
    crawl: str
    state: str
    error: str | None
    stages: list[StageStatus]
    failed_warcs: list[FailedWarc]
    """WARC files that could not be fetched, or are damaged at the source; at most 1,000."""
    training: dict[str, str]
    """How far each training stage is and its incidents, in words, for those that began."""


def store_status(store: Store) -> StoreStatus:
    """Return the state of the latest run's datasets. Raises `PermanentError` where the store holds no run."""
    record = latest_run(store)
    training = [name for name, stage in record.stages.items() if stage.plan.is_training]
    logs = {name: attempt(name, read_training, store, record, name) for name in training}
    stages: list[StageStatus] = []
    failed: tuple[FailedWarc, ...] = ()
    for name, stage in record.stages.items():
        parts = counted_parts(store, stage.plan.folder, stage.plan.part_fingerprint)
        stages.append(_stage_status(store, record, stage, parts, logs.get(name)))
        counters = [(part.name, part.counters) for part in parts]
        failed += failed_warcs(store, name, stage.plan.fingerprint, counters, _MOST_FAILED - len(failed))
    return StoreStatus(
        run=record.run,
        recipe=str(record.recipe.get("name")),
        crawl=record.crawl,
        state=record.state_now(),
        error=record.error,
        stages=stages,
        failed_warcs=list(failed),
        training={stage: log.note for stage, log in logs.items() if not isinstance(log, Missing)},
    )


def _stage_status(
    store: Store,
    record: RunRecord,
    stage: StageRecord,
    parts: Sequence[PartCount],
    training: Training | Missing | None,
) -> StageStatus:
    plan = stage.plan
    manifest = read_manifest(store, plan.name, plan.fingerprint)
    state = _state(record, stage, len(parts), manifest is not None and len(parts) == len(manifest.parts))
    left: float | None = None
    if state == "running":
        left = training.seconds_left if isinstance(training, Training) else _seconds_left(stage, len(parts))
    return StageStatus(
        name=plan.name,
        state=state,
        fingerprint=plan.fingerprint,
        path=store.location(plan.folder),
        parts_done=len(parts),
        parts_expected=len(manifest.parts) if manifest else stage.parts_expected,
        parts_failed=sum(part.counters.get("failed", 0) for part in parts),
        rows=sum(part.rows for part in parts),
        bytes=_bytes(store, record, stage, parts),
        seconds_left=left,
    )


def _state(record: RunRecord, stage: StageRecord, parts: int, whole: bool) -> str:
    if whole:
        return "done"
    if stage.state in ("waiting", "running") and record.state_now() in ("running", INTERRUPTED):
        return stage.state if record.state_now() == "running" else INTERRUPTED
    return stage.state if stage.state in ("failed", "cancelled") else "partial" if parts else "missing"


def _seconds_left(stage: StageRecord, done: int) -> float | None:
    built = done - stage.parts_found
    if stage.began is None or stage.parts_expected is None or built <= 0:
        return None
    try:
        elapsed = (datetime.now(UTC) - datetime.fromisoformat(stage.began)).total_seconds()
    except (ValueError, TypeError):  # no time, or one without a zone: a record may be somebody else's
        return None
    # The clock may have been set back meanwhile.
    return (stage.parts_expected - done) * elapsed / built if elapsed > 0 else None


def _bytes(store: Store, record: RunRecord, stage: StageRecord, parts: Sequence[PartCount]) -> int:
    if stage.plan.name == "fetch":
        return sum(part.counters.get("bytes", 0) for part in parts)
    if stage.plan.is_training:
        model = model_path(store, record, stage.plan.name)
        return store.total_size(model) if model else 0
    sizes = store.sizes(stage.plan.folder)
    return sum(sizes.get(part.name, 0) for part in parts)


def status_table(status: StoreStatus) -> list[list[str]]:
    """Return the stages as rows of text for a terminal: stage, state, parts, rows, bytes, fingerprint."""
    return [
        [
            stage.name,
            stage.state,
            f"{stage.parts_done}/{'?' if stage.parts_expected is None else stage.parts_expected}"
            + (f" ({stage.parts_failed} failed)" if stage.parts_failed else ""),
            f"{stage.rows:,}",
            f"{stage.bytes:,}",
            stage.fingerprint,
        ]
        for stage in status.stages
    ]


def running_lines(status: StoreStatus) -> list[str]:
    """Return a line for each stage that runs now or was running when the run ended, and each training that began."""
    lines = []
    for stage in status.stages:
        note = status.training.get(stage.name, "")
        if not note and stage.state in ("running", "interrupted", "cancelled", "failed"):
            note = f"{stage.parts_done:,} of {'?' if stage.parts_expected is None else f'{stage.parts_expected:,}'}"
        if note:
            left = "" if stage.seconds_left is None else f", {duration(stage.seconds_left)} left"
            state = "" if stage.state == "done" else f"{stage.state}, "
            lines.append(f"{stage.name}: {state}{harmless(note)}{left}")
    return lines


def failed_lines(status: StoreStatus) -> list[str]:
    """Return the failed and damaged WARC files as lines for a terminal, a limited number of them."""
    lines = [f"{warc.in_words}: {harmless(warc.path)}" for warc in status.failed_warcs[:_MOST_LINES]]
    if len(status.failed_warcs) > _MOST_LINES:
        lines.append(f"and {len(status.failed_warcs) - _MOST_LINES:,} more: `sluice status --json` has their names")
    return lines
