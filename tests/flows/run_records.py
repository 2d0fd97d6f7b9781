"""A run's record, for what is told of runs."""

from flows.recipe.stage_plan import StagePlan
from flows.store.run_record import RunRecord, StageRecord
from tasks.dataset.manifest import Manifest, ManifestPart
from tasks.workers.process_name import this_process


def a_record(recipe: str = "tiny", *stages: str, store: str = "/store", **changes: object) -> RunRecord:
    """A running run of a recipe with these stages, each on top of the one before."""
    plans: dict[str, StagePlan] = {}
    for name in stages:
        upstream = {before: plan.fingerprint for before, plan in list(plans.items())[-1:]}
        plans[name] = StagePlan(
            name=name,
            version=1,
            fingerprint=f"{name}0123456789",
            config={},
            job_config={},
            upstream=upstream,
            is_training=name == "pretrain",
        )
    record = RunRecord(
        run=f"20261127T040000.000000-{recipe}",
        flow="crawl-to-chat",
        recipe={"name": recipe, "source": {"base": "https://data.commoncrawl.org"}},
        crawl="CC-MAIN-2026-47",
        settings={"store": store},
        versions={},
        process=this_process(),
        started="2026-11-27T04:00:00+00:00",
        stages={name: StageRecord(plan=plan) for name, plan in plans.items()},
    )
    return record.model_copy(update=changes)


def a_manifest(record: RunRecord, stage: str, rows: int = 3, **counters: int) -> Manifest:
    """The finished dataset of a stage of the record, in two parts."""
    parts = [
        ManifestPart(path=f"part-0000{index}.parquet", rows=1, bytes=50, digest="d", inputs="i", counters={})
        for index in range(2)
    ]
    plan = record.stages[stage].plan
    return Manifest(
        stage=stage,
        fingerprint=plan.fingerprint,
        version=1,
        config={},
        upstream=plan.upstream,
        parts=parts,
        rows=rows,
        bytes=100,
        digest=f"digest of {stage}",
        counters=counters,
    )


def with_stage(record: RunRecord, stage: str, **changes: object) -> RunRecord:
    """The record with some fields of a stage changed."""
    changed = record.stages[stage].model_copy(update=changes)
    return record.model_copy(update={"stages": record.stages | {stage: changed}})
