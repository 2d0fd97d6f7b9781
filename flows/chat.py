"""crawl_to_chat: the whole way, from WARC files to a chat model that answers, with its report."""

from typing import Any

from prefect import flow

from flows.engine.build import build_stages
from flows.engine.open_run import open_run
from flows.engine.part_tasks import part_task_runner
from flows.engine.settings_parameter import SettingsParameter
from flows.recipe.parameter import RecipeParameter
from flows.stages.registry import PROGRAMS, stages_until


@flow(
    name="crawl-to-chat",
    flow_run_name="{recipe.name}: {recipe.source.crawl} to chat model",
    task_runner=part_task_runner(),
    persist_result=False,
)
def crawl_to_chat(recipe: RecipeParameter, settings: SettingsParameter) -> dict[str, Any]:
    """Crawl to corpus, pretrain, finetune, evaluate, export; return the evaluation.

    A recipe without pretraining ends with packed tokens, and returns the rows of each stage.
    """
    with open_run(recipe, settings) as run:
        build_stages(run, stages_until([*run.data_stages, *PROGRAMS], settings.until, run.plans))
        if "evaluate" in run.manifests:
            return run.summary("evaluate")
        return {name: manifest.rows for name, manifest in run.manifests.items()}
