"""crawl_to_corpus: from a crawl's WARC files to documents, tokens and the packing plan."""

from typing import Any

from prefect import flow

from flows.engine.build import build_stages
from flows.engine.open_run import open_run
from flows.engine.part_tasks import part_task_runner
from flows.engine.settings_parameter import SettingsParameter
from flows.recipe.parameter import RecipeParameter
from flows.stages.registry import stages_until


@flow(
    name="corpus",
    flow_run_name="{recipe.name}: {recipe.source.crawl} to corpus",
    task_runner=part_task_runner(),
    persist_result=False,
)
def crawl_to_corpus(recipe: RecipeParameter, settings: SettingsParameter) -> dict[str, Any]:
    """Fetch, extract, filter, deduplicate, tokenize and pack a crawl; return rows by stage."""
    with open_run(recipe, settings) as run:
        build_stages(run, stages_until(run.data_stages, settings.until, run.plans))
        return {name: manifest.rows for name, manifest in run.manifests.items()}
