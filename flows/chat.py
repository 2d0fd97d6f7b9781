"""crawl_to_chat: the whole way, from WARC files to a chat model that answers, with its report."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows.corpus import make_corpus
from flows.engine.part_tasks import part_task_runner
from flows.engine.run import open_run
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from flows.training import finish_model, run_program_stage


@flow(
    name="crawl_to_chat",
    flow_run_name="{recipe.name}: {recipe.source.crawl} to chat model",
    task_runner=part_task_runner(),
    persist_result=False,
)
def crawl_to_chat(recipe: Recipe, settings: RunSettings = RunSettings()) -> dict[str, Any]:
    """Crawl to corpus, pretrain, finetune, evaluate, export; returns the evaluation.

    A recipe without pretraining ends with packed tokens, and the rows of each stage are returned.
    """
    with open_run(recipe, settings) as run:
        make_corpus(run)
        if "pretrain" not in run.plans:
            return {name: manifest.rows for name, manifest in run.manifests.items()}
        run_program_stage(run, "pretrain")
        return finish_model(run)
