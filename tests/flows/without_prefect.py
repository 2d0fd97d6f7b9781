"""The data half's stages built one after the other in this process, without Prefect."""

from collections.abc import Iterator, Mapping

from flows.prepare.finished_dataset import finished_manifest
from flows.recipe.stage_plan import StagePlan
from flows.stages.program import ProgramStage
from flows.stages.registry import stage_of_plan
from tasks.dataset.jobs import fed, following_jobs, part_jobs
from tasks.dataset.manifest import Manifest
from tasks.dataset.parts import read_footer
from tasks.dataset.stage import PartJob
from tasks.dataset.store import Store
from tasks.fetch.crawl_listing import SourceConfig
from tasks.part_runner import run_part


def built_datasets(
    store: Store, plans: Mapping[str, StagePlan], source: SourceConfig, last: str | None = None
) -> Iterator[tuple[str, Manifest]]:
    """Build the planned stages up to `last` (all unless given) and give each one's manifest as it is finished."""
    manifests: dict[str, Manifest] = {}
    jobs: dict[str, list[PartJob]] = {}
    for plan in plans.values():
        stage = stage_of_plan(plan)
        if isinstance(stage, ProgramStage):
            continue
        context = plan.context(store, manifests, source.model_dump(mode="json"))
        if stage.runs_with:
            following = following_jobs(stage, context, jobs[stage.runs_with])
            before = [read_footer(store, job.path) for job in jobs[stage.runs_with]]
            jobs[stage.name] = [fed(job, footer) for job, footer in zip(following, before, strict=True) if footer]
        else:
            jobs[stage.name] = part_jobs(stage, context)
        manifests[stage.name] = finished_manifest(store, plan, [run_part(job) for job in jobs[stage.name]])
        yield stage.name, manifests[stage.name]
        if stage.name == last:
            return
