"""Which datasets a recipe means: every stage's configuration, upstream and fingerprint, before anything runs.

Notable: the plan is a pure function of the recipe, the crawl it resolved to and the digests of the chat files, so
`sluice plan` and `sluice what-if` know every dataset's name without a run.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_jsonable_python

from flows.recipe.recipe import Recipe
from flows.recipe.stage_plan import StagePlan
from flows.stages.program import ProgramStage
from flows.stages.registry import STAGES
from tasks.base.fingerprint import fingerprint
from tasks.dataset.stage import OWN_CODE, Stage
from tasks.own_code.named_code import load, pinned
from tasks.synthesis.config import CHAT_SETS


def plan_stages(recipe: Recipe, crawl: str, chat_digests: Mapping[str, str]) -> dict[str, StagePlan]:
    """Return the plan of every stage that `recipe` asks for, in order; `crawl` is what `source.crawl` resolved to.

    `chat_digests`: digests of the files `conversations`, `mixture.N.conversations`, `pairs`, `prompts` and `questions`,
    and of evaluation tasks by their place as `tasks.0`, where the recipe has them.
    """
    recipe = _resolved(recipe, crawl, chat_digests)
    plans: dict[str, StagePlan] = {}
    own = {load(code).name: code for code in recipe.stages}
    for stage in (*STAGES.values(), *(load(code) for code in own.values())):
        config = stage.config_of(recipe)
        is_used = recipe.needs_corpus or stage.name == "tokenizer" or isinstance(stage, ProgramStage)
        if config is not None and is_used:
            values = to_jsonable_python(config)
            built_on = [upstream.stage for upstream in stage.upstream if not upstream.when or upstream.when(recipe)]
            if not plans.keys() >= set(built_on):
                continue  # what it is made from is not asked for, such as tokens without a tokenizer
            code = own.get(stage.name)
            values = {**values, OWN_CODE: pinned(code)} if code else values
            plans[stage.name] = stage_plan(stage, values, {name: plans[name].fingerprint for name in built_on})
            if stage.name == "rephrased":
                recipe = _with_own_rephrased(recipe, plans[stage.name].fingerprint)
    return plans


def stage_plan(stage: Stage, config: Mapping[str, Any], upstream: Mapping[str, str]) -> StagePlan:
    """Return the plan of one stage under a configuration, built on datasets with these fingerprints."""
    meaning = stage.meaning(config)
    return StagePlan(
        name=stage.name,
        version=stage.version,
        fingerprint=fingerprint(stage.name, stage.version, meaning, upstream),
        # What is upstream is covered by the digests of each part's inputs.
        part_fingerprint=fingerprint(stage.name, stage.version, stage.part_meaning(config), {}),
        config=meaning,
        job_config=dict(config),
        upstream=dict(upstream),
        is_training=isinstance(stage, ProgramStage) and stage.is_training,
    )


def _with_own_rephrased(recipe: Recipe, fingerprint: str) -> Recipe:
    """Return the recipe with the set that it rephrases itself known, as any other corpus of its mixture is."""
    if recipe.mixture is None:
        return recipe
    others = {
        name: one.model_copy(update={"corpus": fingerprint}) if one.dataset == "rephrased" and not one.corpus else one
        for name, one in recipe.mixture.others.items()
    }
    return recipe.model_copy(update={"mixture": recipe.mixture.model_copy(update={"others": others})})


def _resolved(recipe: Recipe, crawl: str, chat_digests: Mapping[str, str]) -> Recipe:
    """Return the recipe with the crawl by its name and the chat files by their content."""

    def content(kind: str, said: str) -> str:
        return said if said in CHAT_SETS else chat_digests.get(kind, "")  # a dataset is known by its fingerprint

    update: dict[str, Any] = {"source": recipe.source.model_copy(update={"crawl": crawl})}
    if recipe.sft:
        mixture = tuple(
            dataclasses.replace(one, conversations=content(f"mixture.{number}.conversations", one.conversations))
            for number, one in enumerate(recipe.sft.mixture)
        )
        first = content("conversations", recipe.sft.conversations)
        update["sft"] = dataclasses.replace(recipe.sft, conversations=first, mixture=mixture)
    if recipe.preference:
        update["preference"] = dataclasses.replace(recipe.preference, pairs=content("pairs", recipe.preference.pairs))
    if recipe.rl:
        update["rl"] = dataclasses.replace(recipe.rl, prompts=chat_digests.get("prompts", ""))
    tasks = tuple(chat_digests.get(f"tasks.{place}", name) for place, name in enumerate(recipe.evaluate.tasks))
    update["evaluate"] = dataclasses.replace(recipe.evaluate, questions=chat_digests.get("questions"), tasks=tasks)
    return recipe.model_copy(update=update)
