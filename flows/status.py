"""What a store holds for its latest run: each stage's dataset, how much of it is done, and its size.

Notable: the answer comes from the run's record and from the parts themselves, so it is right during a run, after a
kill and after parts were deleted by hand.
"""

from __future__ import annotations

from flows.run_record import RunRecord, StageRecord, latest_run
from flows.stage_plan import STAGE_NAMES
from tasks.config import Config
from tasks.manifest import dataset_folder, read_manifest
from tasks.parts import read_footer
from tasks.store import Store


class StageStatus(Config):
    """One stage of the latest run."""

    name: str
    state: str
    """done | partial | missing | not in the recipe"""
    fingerprint: str | None
    path: str | None
    """The dataset's folder, in full."""
    parts_done: int
    parts_expected: int | None
    """None until a run has come as far as counting them."""
    parts_failed: int = 0
    """Parts done without what they should be made from: WARC files that could not be had."""
    rows: int
    bytes: int


class StoreStatus(Config):
    """The latest run and its stages."""

    run: str
    recipe: str
    crawl: str
    state: str
    error: str | None
    stages: list[StageStatus]


def store_status(store: Store) -> StoreStatus:
    """Look at the latest run's datasets. Raises `PermanentError` where the store holds no run."""
    record = latest_run(store)
    return StoreStatus(
        run=record.run,
        recipe=str(record.recipe.get("name")),
        crawl=record.crawl,
        state=record.state_now(),
        error=record.error,
        stages=[_stage_status(store, name, record) for name in STAGE_NAMES],
    )


def _stage_status(store: Store, name: str, record: RunRecord) -> StageStatus:
    stage = record.stages.get(name)
    if stage is None:
        return StageStatus(
            name=name,
            state="not in the recipe",
            fingerprint=None,
            path=None,
            parts_done=0,
            parts_expected=0,
            rows=0,
            bytes=0,
        )
    done, failed, rows, size = _finished_parts(store, name, stage)
    manifest = read_manifest(store, name, stage.plan.fingerprint)
    whole = manifest is not None and done == len(manifest.parts)
    return StageStatus(
        name=name,
        state="done" if whole else "partial" if done else "missing",
        fingerprint=stage.plan.fingerprint,
        path=store.location(stage.plan.folder),
        parts_done=done,
        parts_expected=len(manifest.parts) if manifest else stage.parts_expected,
        parts_failed=failed,
        rows=rows,
        bytes=size,
    )


def _finished_parts(store: Store, name: str, stage: StageRecord) -> tuple[int, int, int, int]:
    """Parts, failed ones, rows and bytes of those parts that carry the stage's fingerprint."""
    folder = dataset_folder(name, stage.plan.fingerprint)
    done = failed = rows = size = 0
    for file in store.names(folder):
        if not file.endswith(".parquet"):
            continue
        footer = read_footer(store, f"{folder}/{file}")
        if footer and footer.fingerprint == stage.plan.fingerprint:
            done, rows, size = done + 1, rows + footer.rows, size + store.size(f"{folder}/{file}")
            failed += footer.counters.get("failed", 0)
    return done, failed, rows, size


def status_table(status: StoreStatus) -> list[list[str]]:
    """The stages as rows of text for a terminal: stage, state, parts, rows, bytes, fingerprint."""
    return [
        [
            stage.name,
            stage.state,
            f"{stage.parts_done}/{'?' if stage.parts_expected is None else stage.parts_expected}"
            + (f" ({stage.parts_failed} failed)" if stage.parts_failed else ""),
            f"{stage.rows:,}",
            f"{stage.bytes:,}",
            stage.fingerprint or "",
        ]
        for stage in status.stages
    ]
