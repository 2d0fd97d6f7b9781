"""How the run went: its stages with their times and fingerprints, the versions, the recipe in full."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import yaml

from flows.store.datasets import count_dataset
from flows.store.run_record import RunRecord
from tasks.dataset.store import Store


@dataclass(frozen=True)
class StageFacts:
    """One stage of the run."""

    stage: str
    state: str
    """planned | running | done | failed"""
    seconds: float
    """Wall-clock time that this run spent on it."""
    parts: int
    expected: int | None
    rows: int
    bytes: int
    fingerprint: str


@dataclass(frozen=True)
class RunFacts:
    """The run as a whole."""

    run: str
    recipe_name: str
    crawl: str
    state: str
    error: str | None
    started: str
    finished: str | None
    seconds: float | None
    """Wall-clock time of the whole run; None where it has no end."""
    stages: tuple[StageFacts, ...]
    versions: tuple[tuple[str, str], ...]
    recipe: str
    """The recipe as YAML."""
    settings: str
    """Where and how it ran, as YAML; nothing that came out depends on it."""


def read_run_facts(store: Store, record: RunRecord) -> RunFacts:
    """Read the record, and the sizes of the datasets."""
    return RunFacts(
        run=record.run,
        recipe_name=str(record.recipe.get("name", "")),
        crawl=record.crawl,
        state=record.state,
        error=record.error,
        started=record.started,
        finished=record.finished,
        seconds=_seconds(record),
        stages=tuple(_stage_facts(store, record, name) for name in record.stages),
        versions=tuple(record.versions.items()),
        recipe=_yaml(record.recipe),
        settings=_yaml(record.settings),
    )


def _stage_facts(store: Store, record: RunRecord, name: str) -> StageFacts:
    seen, dataset = record.stages[name], count_dataset(store, record, name)
    return StageFacts(
        stage=name,
        state=seen.state,
        seconds=seen.seconds,
        parts=len(dataset.parts) if dataset else 0,
        expected=dataset.expected if dataset else seen.parts_expected,
        rows=dataset.rows if dataset else 0,
        bytes=dataset.bytes if dataset else 0,
        fingerprint=seen.plan.fingerprint,
    )


def _seconds(record: RunRecord) -> float | None:
    if record.finished is None:
        return None
    return (datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)).total_seconds()


def _yaml(values: object) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100).strip()
