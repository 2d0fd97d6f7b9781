"""The job that builds one part of a planned stage."""

from __future__ import annotations

from typing import Any

from flows.recipe.stage_plan import StagePlan
from tasks.dataset.stage import PartJob
from tasks.dataset.store import Store


def part_job(store: Store, plan: StagePlan, index: int, inputs: str, source: dict[str, Any] | None = None) -> PartJob:
    """The job for part `index`, made from what `inputs` is the digest of; `source` is for stages that read a crawl."""
    return PartJob(
        store=store.url,
        stage=plan.name,
        fingerprint=plan.fingerprint,
        index=index,
        inputs=inputs,
        config=plan.job_config,
        upstream=plan.upstream,
        source=source or {},
    )
