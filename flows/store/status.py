"""What a store holds of its latest run: each stage's dataset, how much of it is done, and its size.

Notable: the answer comes from the run's record and from the parts themselves, so it is right during a run, after a
kill and after parts were deleted by hand.
"""

from collections.abc import Sequence

from flows.store.datasets import PartCount, counted_parts
from flows.store.failed_warcs import FailedWarc, failed_warcs
from flows.store.missing import Missing, attempt
from flows.store.run_record import StageRecord, latest_run
from flows.store.training_log import read_training
from model.base.safe_text import harmless
from tasks.base.config import Config
from tasks.dataset.manifest import read_manifest
from tasks.dataset.store import Store

_MOST_FAILED, _MOST_LINES = 1000, 12


class StageStatus(Config):
    """One stage of the latest run."""

    name: str
    state: str
    """done | running | partial | missing"""
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
    """Of the parts; for `fetch` of the WARC files that they tell of."""


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
    stages: list[StageStatus] = []
    failed: tuple[FailedWarc, ...] = ()
    for name, stage in record.stages.items():
        parts = counted_parts(store, stage.plan.folder, stage.plan.part_fingerprint)
        stages.append(_stage_status(store, name, stage, parts, record.state_now() == "running"))
        counters = [(part.name, part.counters) for part in parts]
        failed += failed_warcs(store, name, stage.plan.fingerprint, counters, _MOST_FAILED - len(failed))
    training = [name for name, stage in record.stages.items() if stage.plan.is_training]
    logs = {name: attempt(name, read_training, store, record, name) for name in training}
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
    store: Store, name: str, stage: StageRecord, parts: Sequence[PartCount], is_running: bool
) -> StageStatus:
    manifest = read_manifest(store, name, stage.plan.fingerprint)
    whole = manifest is not None and len(parts) == len(manifest.parts)
    return StageStatus(
        name=name,
        state="done" if whole else "running" if is_running and stage.state == "running" else _unfinished(parts),
        fingerprint=stage.plan.fingerprint,
        path=store.location(stage.plan.folder),
        parts_done=len(parts),
        parts_expected=len(manifest.parts) if manifest else stage.parts_expected,
        parts_failed=sum(part.counters.get("failed", 0) for part in parts),
        rows=sum(part.rows for part in parts),
        bytes=sum(
            part.counters.get("bytes", 0) if name == "fetch" else store.size(f"{stage.plan.folder}/{part.name}")
            for part in parts
        ),
    )


def _unfinished(parts: Sequence[PartCount]) -> str:
    return "partial" if parts else "missing"


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


def failed_lines(status: StoreStatus) -> list[str]:
    """Return the failed and damaged WARC files as lines for a terminal, a limited number of them."""
    lines = [f"{warc.in_words}: {harmless(warc.path)}" for warc in status.failed_warcs[:_MOST_LINES]]
    if len(status.failed_warcs) > _MOST_LINES:
        lines.append(f"and {len(status.failed_warcs) - _MOST_LINES:,} more: `sluice status --json` has their names")
    return lines
