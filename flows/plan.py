"""Which datasets a recipe means: every stage's configuration, upstream and fingerprint, before anything runs.

Notable: the plan is a pure function of the recipe, the crawl it resolved to and the digests of the chat files, so
`sluice status` and `sluice why` know every dataset's name without a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.recipe import Recipe
from flows.stage_plan import STAGE_NAMES, StagePlan
from model.config import PACE_FIELDS
from tasks.fingerprint import fingerprint
from tasks.madeup.generation import VERSION as MADEUP_VERSION
from tasks.stages.registry import STAGES

PROGRAM_VERSIONS = {"pretrain": 1, "sft": 1, "evaluate": 1, "export": 1}
"""Versions of the stages that are programs of the model half; raised when the same inputs come out otherwise."""


def plan_stages(recipe: Recipe, crawl: str, chat_digests: Mapping[str, str]) -> dict[str, StagePlan]:
    """Every stage that `recipe` asks for, in order.

    `crawl` is the name that `source.crawl` resolved to. `chat_digests` gives the digest of the conversations and of
    the questions, under those two names, where the recipe has them.
    """
    configs = _configs(recipe, crawl, chat_digests)
    plans: dict[str, StagePlan] = {}
    for name in STAGE_NAMES:
        if name not in configs:
            continue
        version = STAGES[name].version if name in STAGES else PROGRAM_VERSIONS[name]
        upstream = {stage: plans[stage].fingerprint for stage in upstream_names(name, recipe)}
        plans[name] = StagePlan(
            name=name,
            version=version,
            fingerprint=fingerprint(name, version, meaning(name, configs[name]), upstream),
            config=meaning(name, configs[name]),
            job_config=configs[name],
            upstream=upstream,
        )
    return plans


def meaning(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a stage's configuration that decide what comes out: no pace, no memory, no local path."""
    decisive = {field: value for field, value in config.items() if field not in _NOT_DECISIVE.get(name, ())}
    if isinstance(decisive.get("loop"), Mapping):
        decisive["loop"] = {field: value for field, value in decisive["loop"].items() if field not in PACE_FIELDS}
    return decisive


_NOT_DECISIVE = {"candidates": ("partitions",), "sft": ("conversations",), "evaluate": ("questions",)}


def upstream_names(name: str, recipe: Recipe) -> list[str]:
    """The stages that `name` builds on in this recipe."""
    if name in STAGES:
        return [upstream.stage for upstream in STAGES[name].upstream]
    last_trained = "sft" if recipe.sft else "pretrain"
    return {
        "pretrain": ["tokenizer", "tokens", "packing"],
        "sft": ["tokenizer", "pretrain"],
        "evaluate": ["tokens", last_trained],
        "export": ["tokenizer", last_trained],
    }[name]


def _configs(recipe: Recipe, crawl: str, chat_digests: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The fields that each stage reads, as plain values; a stage that is missing here is not part of the recipe."""
    fetch: dict[str, Any] = {
        "crawl": crawl,
        "warcs": "all" if recipe.madeup else recipe.source.warcs,
        "bytes_per_warc": recipe.source.bytes_per_warc,
    }
    if recipe.madeup:
        fetch["madeup"] = recipe.madeup.model_dump(mode="json") | {"version": MADEUP_VERSION}
    configs = {
        "fetch": fetch,
        "extract": recipe.extract.model_dump(mode="json"),
        "filter": recipe.filter.model_dump(mode="json"),
        "signatures": recipe.signatures.model_dump(mode="json"),
        "candidates": recipe.duplicates.model_dump(mode="json"),
        "duplicates": {},
        "corpus": {},
        "tokenizer": recipe.tokenizer.model_dump(mode="json"),
        "tokens": recipe.tokens.model_dump(mode="json"),
        "packing": recipe.packing.model_dump(mode="json"),
    }
    if recipe.pretrain:
        configs["pretrain"] = recipe.pretrain.model_dump(mode="json")
        if recipe.sft:
            configs["sft"] = recipe.sft.model_dump(mode="json") | {"digest": chat_digests["conversations"]}
        evaluate = recipe.evaluate.model_dump(mode="json")
        configs["evaluate"] = evaluate | {"digest": chat_digests.get("questions")}
        configs["export"] = recipe.export.model_dump(mode="json")
    return configs
