"""A run's record, for what is told of runs."""

from flows.recipe.stage_plan import StagePlan
from flows.store.run_record import RunRecord, StageRecord
from tasks.workers.process_name import this_process


def a_record(recipe: str = "tiny", *stages: str, store: str = "/store", **changes: object) -> RunRecord:
    """A running run of a recipe with these stages, each on top of the one before."""
    plans: dict[str, StagePlan] = {}
    for name in stages:
        upstream = {before: plan.fingerprint for before, plan in list(plans.items())[-1:]}
        plans[name] = StagePlan(
            name=name, version=1, fingerprint=f"{name}0123456789", config={}, job_config={}, upstream=upstream
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
