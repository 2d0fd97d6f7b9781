"""Which datasets a recipe means: every stage's configuration, upstream and fingerprint, before anything runs.

Notable: the plan is a pure function of the recipe, the crawl it resolved to and the digests of the chat files, so
`sluice plan` and `sluice what-if` know every dataset's name without a run.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic_core import to_jsonable_python

from flows.recipe.recipe import Recipe
from flows.recipe.stage_plan import StagePlan
from flows.stages.program import ProgramStage
from flows.stages.registry import STAGES, with_own
from tasks.base.errors import UsageError
from tasks.base.fingerprint import fingerprint
from tasks.dataset.stage import OWN_CODE, Stage
from tasks.own_code.named_code import load, pinned
from tasks.synthesis.config import CHAT_SETS

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


def plan_stages(recipe: Recipe, crawl: str, chat_digests: Mapping[str, str]) -> dict[str, StagePlan]:
    """Return the plan of every stage that `recipe` asks for, in order; `crawl` is what `source.crawl` resolved to.

    `chat_digests`: digests of the files `conversations`, `mixture.N.conversations`, `pairs`, `prompts` and `questions`,
    and of evaluation tasks by their place as `tasks.0`, where the recipe has them.
    """
    recipe = _resolved(recipe, crawl, chat_digests)
    plans: dict[str, StagePlan] = {}
    own = {load(code).name: code for code in recipe.stages}
    stand_ins: dict[str, str] = {}
    for stage in with_own(load(code) for code in own.values()):
        config = stage.config_of(recipe)
        is_used = recipe.needs_corpus or stage.name == "tokenizer" or isinstance(stage, ProgramStage)
        if config is not None and is_used:
            values = to_jsonable_python(config)
            code = own.get(stage.name)
            values = {**values, OWN_CODE: pinned(code)} if code else values
            used = _read_by(stage, recipe)
            built_on = [stand_ins.get(name, name) for name in used]
            if missing := [name for name in built_on if name not in plans]:
                if code:
                    raise UsageError(f"stages: {stage.name} builds on {missing[0]}, which this recipe does not make.")
                continue  # what it is made from is not asked for, such as tokens without a tokenizer
            fingerprints = {name: plans[name].fingerprint for name in built_on}
            replaced = {name: stand_ins[name] for name in used if name in stand_ins}
            plans[stage.name] = stage_plan(stage, values, fingerprints, replaced)
            if stage.in_place_of:
                stand_ins[stage.in_place_of] = stage.name
            if stage.name == "rephrased":
                recipe = _with_own_rephrased(recipe, plans[stage.name].fingerprint)
    return plans


def left_out(recipe: Recipe, plans: Mapping[str, StagePlan]) -> dict[str, list[str]]:
    """Return the stages that a recipe with a corpus asks for but does not get, by what they would be made from."""
    found: dict[str, list[str]] = {}
    roots: dict[str, str] = {}
    asked = [stage for stage in STAGES.values() if stage.config_of(recipe) is not None] if recipe.needs_corpus else []
    for stage in asked:
        if missing := next((name for name in _read_by(stage, recipe) if name not in plans), None):
            roots[stage.name] = roots.get(missing, missing)
            found.setdefault(roots[stage.name], []).append(stage.name)
    return found


def _read_by(stage: Stage, recipe: Recipe) -> list[str]:
    """Return the stages whose datasets this one reads under the recipe."""
    return [one.stage for one in stage.upstream if not one.when or one.when(recipe)]


def stage_plan(
    stage: Stage, config: Mapping[str, Any], upstream: Mapping[str, str], stand_ins: Mapping[str, str] = _NONE
) -> StagePlan:
    """Return the plan of one stage under a configuration, built on datasets with these fingerprints, of which
    `stand_ins` names those that it reads in place of others.
    """
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
        stand_ins=dict(stand_ins),
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
