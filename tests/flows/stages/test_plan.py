"""The plan: what a fingerprint covers and what it does not."""

import pytest

from flows.recipe.loading import load_recipe
from flows.stages.plan import left_out, plan_stages
from flows.stages.registry import STAGES

CHAT = {"conversations": "c", "questions": "q", "pairs": "p"}


def fingerprints(*overrides: str) -> dict[str, str]:
    plans = plan_stages(load_recipe("demo", overrides), "CC-MAIN-2026-45", CHAT)
    return {name: plan.fingerprint for name, plan in plans.items()}


@pytest.mark.parametrize(
    "override",
    [
        "source.base=http://elsewhere",
        "source.keep_warcs=true",
        "source.transfer.attempts=3",
        "duplicates.partitions=64",
        "tokenizer.tools=true",
        "mixture=null",
        "pretrain.loop.threads=1",
        "pretrain.loop.checkpoint_every=7",
        "sft.loop.keep_checkpoints=9",
        "pretrain.loop.trackers=[tensorboard]",
        "pretrain.loop.spike_sigma=0",
    ],
)
def test_place_and_pace_change_no_fingerprint(override: str) -> None:
    assert fingerprints(override) == fingerprints()


@pytest.mark.parametrize(
    ("override", "first"),
    [
        ("synthetic_web.seed=2", "fetch"),
        ("extract.tables=false", "extract"),
        ("filter.thresholds.gopher_min_words=20", "filter"),
        ("signatures.bands=20", "signatures"),
        ("duplicates.minimum_similarity=0.5", "candidates"),
        ("personal_data.max_per_document=5", "corpus"),
        ("harm.thresholds.violence=5", "corpus"),
        ("tokenizer.vocab_size=2000", "tokenizer"),
        ("tokenizer.chat_words=false", "tokenizer"),
        ("tokenizer.without_held_out=true", "tokenizer"),
        ("tokens.validation_fraction=0.2", "tokens"),
        ("packing.seed=7", "packing"),
        ("mixture.by_duplicates=[{at_least: 2, times: 2}]", "packing"),
        ("pretrain.optimizer.lr=0.1", "pretrain"),
        ("pretrain.loop.spike_sigma=6", "pretrain"),
        ("sft.loop.steps=3", "sft"),
        ("evaluate.max_new_tokens=3", "evaluate"),
        ("export.precision=bfloat16", "export"),
    ],
)
def test_meaning_changes_its_stage_and_what_builds_on_it(override: str, first: str) -> None:
    before, after = fingerprints(), fingerprints(override)
    changed = [name for name in before if before[name] != after[name]]
    assert changed[0] == first
    assert "export" in changed or first == "evaluate"
    assert all(list(STAGES).index(name) >= list(STAGES).index(first) for name in changed)


def test_what_is_left_out_is_named_by_what_it_would_be_made_from() -> None:
    def named(*overrides: str) -> dict[str, list[str]]:
        recipe = load_recipe("first-crawl", overrides)
        return left_out(recipe, plan_stages(recipe, "CC-MAIN-2026-46", CHAT))

    without_model = ["pretrain=null", "sft=null", "evaluate.questions=null"]
    assert named() == named(*without_model) == {}
    assert named("tokenizer=null", *without_model) == {"tokenizer": ["tokens", "packing"]}


def test_a_model_is_made_from_the_newest_one_before_it() -> None:
    def upstream(*overrides: str) -> dict[str, list[str]]:
        plans = plan_stages(load_recipe("demo", overrides), "CC-MAIN-2026-45", CHAT)
        models = [name for name, plan in plans.items() if plan.is_training]
        return {name: [one for one in plans[name].upstream if one in models] for name in [*models[1:], "export"]}

    assert upstream() == {"sft": ["pretrain"], "preference": ["sft"], "export": ["preference"]}
    assert upstream("preference=null") == {"sft": ["pretrain"], "export": ["sft"]}
    assert upstream("sft=null") == {"preference": ["pretrain"], "export": ["preference"]}
    assert upstream("sft=null", "preference=null") == {"export": ["pretrain"]}


def test_an_evaluation_builds_on_all_models_where_it_compares_them() -> None:
    def models(*overrides: str) -> list[str]:
        plans = plan_stages(load_recipe("demo", overrides), "CC-MAIN-2026-45", CHAT)
        return [name for name in plans["evaluate"].upstream if plans[name].is_training]

    assert models() == ["pretrain", "sft", "preference"]
    assert models("evaluate.compare_stages=false") == ["pretrain", "preference"]


def test_the_chat_files_count_by_content() -> None:
    recipe = load_recipe("demo")
    other = plan_stages(recipe, "CC-MAIN-2026-45", CHAT | {"conversations": "d"})
    assert other["sft"].fingerprint != fingerprints()["sft"]
    assert other["pretrain"].fingerprint == fingerprints()["pretrain"]


def test_an_evaluation_tasks_content_counts() -> None:
    def with_task(digest: str) -> dict[str, str]:
        recipe = load_recipe("demo", ["evaluate.tasks=[capitals.yaml]"])
        plans = plan_stages(recipe, "CC-MAIN-2026-45", {**CHAT, "tasks.0": digest})
        return {name: plan.fingerprint for name, plan in plans.items()}

    before, after = with_task("a"), with_task("b")
    assert [name for name in before if before[name] != after[name]] == ["evaluate"]
