"""pretrain and finetune: the flows that start from a corpus in the store."""

from typing import Any

from prefect import flow

from flows.engine.build import build_stages, take_finished
from flows.engine.open_run import open_run
from flows.engine.settings_parameter import SettingsParameter
from flows.prepare.required_sections import require_sections
from flows.recipe.parameter import RecipeParameter
from flows.stages.registry import PROGRAMS
from tasks.registry import STAGES as DATA_STAGES


@flow(name="pretrain", flow_run_name="{recipe.name}: {recipe.source.crawl} pretrain", persist_result=False)
def pretrain(recipe: RecipeParameter, settings: SettingsParameter) -> dict[str, Any]:
    """Pretrain on the corpus that is in the store, or go on from the newest checkpoint; return the final losses."""
    require_sections("pretrain", recipe)
    with open_run(recipe, settings, goes_on=True) as run:
        take_finished(run, DATA_STAGES)
        build_stages(run, ["pretrain"])
        return run.summary("pretrain")


@flow(name="finetune", flow_run_name="{recipe.name}: {recipe.source.crawl} finetune", persist_result=False)
def finetune(recipe: RecipeParameter, settings: SettingsParameter) -> dict[str, Any]:
    """Finetune the pretrained model or the recipe's `sft.base`, evaluate and export it; return the evaluation."""
    if not recipe.sft:
        require_sections("pretrain", recipe)
    with open_run(recipe, settings, goes_on=True) as run:
        if recipe.needs_corpus:
            take_finished(run, [*DATA_STAGES, "pretrain"])
        build_stages(run, ["tokenizer", *PROGRAMS])
        return run.summary("evaluate")
