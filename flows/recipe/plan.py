"""Which datasets a recipe means: every stage's configuration, upstream and fingerprint, before anything runs.

Notable: the plan is a pure function of the recipe, the crawl it resolved to and the digests of the chat files, so
`sluice status` and `sluice why` know every dataset's name without a run.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from flows.recipe.recipe import Recipe
from flows.recipe.stage_plan import STAGE_NAMES, StagePlan
from model.base.config import deciding_fields
from model.base.config_loading import config_as_json
from tasks.base.fingerprint import fingerprint
from tasks.classify.training import ScoreRuleConfig
from tasks.registry import STAGES
from tasks.synthetic_web.generation import VERSION as SYNTHETIC_WEB_VERSION
from tasks.tokenize.mixture import MixtureConfig

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
    left_out = _NOT_DECISIVE.get(name, ())
    return deciding_fields({field: value for field, value in config.items() if field not in left_out})


_NOT_DECISIVE = {
    "candidates": ("partitions",),
    "tokens": ("stores",),
    "packing": ("stores",),
    "sft": ("conversations",),
    "evaluate": ("questions",),
}


def upstream_names(name: str, recipe: Recipe) -> list[str]:
    """The stages that `name` builds on in this recipe."""
    if name == "fetch":
        return ["wanted"] if recipe.source.select else []
    if name in STAGES:
        left_out = _left_out(name, recipe)
        return [upstream.stage for upstream in STAGES[name].upstream if upstream.stage not in left_out]
    last_trained = "sft" if recipe.sft else "pretrain"
    return {
        "pretrain": ["tokenizer", "tokens", "packing"],
        "sft": ["tokenizer", "pretrain"],
        "evaluate": ["tokens", last_trained],
        "export": ["tokenizer", last_trained],
    }[name]


def _left_out(name: str, recipe: Recipe) -> tuple[str, ...]:
    """The optional stages that `name` does not build on in this recipe."""
    if name == "packing":
        mixture = recipe.mixture or MixtureConfig()
        read = {"duplicates": bool(mixture.by_duplicates), "scores": bool(mixture.by_quality)}
        return tuple(stage for stage, is_read in read.items() if not is_read)
    if name == "classifiers" and not any(config.negatives_from_corpus for config in recipe.classifiers.values()):
        return ("filter",)
    if not recipe.classifiers:
        return ("scores", "thresholds")
    return () if any(config.keep_top is not None for config in recipe.classifiers.values()) else ("thresholds",)


def _configs(recipe: Recipe, crawl: str, chat_digests: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The fields that each stage reads, as plain values; a stage that is missing here is not part of the recipe."""
    warcs = recipe.source.model_dump(mode="json")["warcs"]
    fetch: dict[str, Any] = {
        "crawl": crawl,
        "warcs": "all" if recipe.synthetic_web else warcs,
        "bytes_per_warc": recipe.source.bytes_per_warc,
    }
    if recipe.synthetic_web:
        fetch["synthetic_web"] = recipe.synthetic_web.model_dump(mode="json") | {"version": SYNTHETIC_WEB_VERSION}
    configs: dict[str, dict[str, Any]] = {}
    if select := recipe.source.select:
        configs["selection"] = {"crawl": crawl, "warcs": warcs, "conditions": select.conditions()}
        configs["wanted"] = select.drawing()
    configs |= {
        "fetch": fetch,
        "extract": _extract_config(recipe),
        "filter": recipe.filter.model_dump(mode="json"),
        "signatures": recipe.signatures.model_dump(mode="json"),
        "candidates": recipe.duplicates.model_dump(mode="json"),
        "duplicates": {},
        "corpus": _corpus_config(recipe),
        "tokenizer": _tokenizer_config(recipe),
        "tokens": recipe.tokens.model_dump(mode="json") | _other_corpora(recipe),
        "packing": recipe.packing.model_dump(mode="json") | _other_corpora(recipe) | _mixture_config(recipe),
    }
    if recipe.compression:
        held_out = {"held_out": recipe.tokens.model_dump(mode="json")}
        configs["compression"] = recipe.compression.model_dump(mode="json") | held_out
    if recipe.classifiers:
        configs |= _classifier_configs(recipe)
    if recipe.pretrain:
        configs["pretrain"] = config_as_json(recipe.pretrain)
        if recipe.sft:
            configs["sft"] = config_as_json(recipe.sft) | {"digest": chat_digests["conversations"]}
        evaluate = config_as_json(recipe.evaluate)
        configs["evaluate"] = evaluate | {"digest": chat_digests.get("questions")}
        if recipe.pretrain.objective == "causal":
            configs["export"] = config_as_json(recipe.export)
    return configs


def _extract_config(recipe: Recipe) -> dict[str, Any]:
    """The extract section; the languages to guess for follow the filter's unless given."""
    config = recipe.extract.model_dump(mode="json")
    if recipe.extract.guess_languages is None:
        config["guess_languages"] = list(recipe.filter.languages)
    return config


def _corpus_config(recipe: Recipe) -> dict[str, Any]:
    """The sections that judge kept documents; one that the recipe does not have leaves no trace in the fingerprint."""
    sections = {"harm": recipe.harm, "personal_data": recipe.personal_data}
    dumped = {name: section.model_dump(mode="json") for name, section in sections.items() if section}
    fields = set(ScoreRuleConfig.model_fields)
    rules = {name: rule.model_dump(mode="json", include=fields) for name, rule in sorted(recipe.classifiers.items())}
    return dumped | ({"classifiers": rules} if rules else {})


def _tokenizer_config(recipe: Recipe) -> dict[str, Any]:
    """The tokenizer section; fields that came later leave no trace in the fingerprint where they are false."""
    added = {"tools": recipe.tokenizer.tools, "without_held_out": recipe.tokenizer.without_held_out}
    config = recipe.tokenizer.model_dump(mode="json", exclude={name for name, given in added.items() if not given})
    if recipe.tokenizer.without_held_out:
        config["held_out"] = recipe.tokens.model_dump(mode="json")
    return config


def _other_corpora(recipe: Recipe) -> dict[str, Any]:
    """The further corpora of the mixture; a recipe without any leaves no trace in the fingerprint."""
    others = recipe.mixture.others if recipe.mixture else {}
    if not others:
        return {}
    return {
        "others": {name: other.corpus for name, other in others.items()},
        "stores": {name: other.store for name, other in others.items()},
    }


def _mixture_config(recipe: Recipe) -> dict[str, Any]:
    """How often documents count; where the other corpora lie is said elsewhere."""
    if recipe.mixture is None:
        return {}
    places = {name: {"store", "crawl", "corpus"} for name in recipe.mixture.others}
    mixture = recipe.mixture.model_dump(mode="json", exclude={"others": places})
    return {"mixture": mixture}


def _classifier_configs(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """How classifiers are trained, which there are, and of which a share is kept."""
    dumped = {name: config.model_dump(mode="json") for name, config in sorted(recipe.classifiers.items())}
    fields = ScoreRuleConfig.model_fields
    shares = {name: config.keep_top for name, config in sorted(recipe.classifiers.items()) if config.keep_top}
    configs: dict[str, dict[str, Any]] = {
        "classifiers": {"classifiers": {name: _without(values, fields) for name, values in dumped.items()}},
        "scores": {"classifiers": list(dumped)},
    }
    return configs | ({"thresholds": shares} if shares else {})


def _without(values: Mapping[str, Any], keys: Container[str]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys}
