"""Classifiers in a real run: trained, applied, explained; and recipes without them are what they were."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from flows.recipe.loading import validated
from flows.recipe.recipe import Recipe
from flows.recipe.recipe_file import RecipeError
from flows.stages.plan import plan_stages
from flows.store.status import store_status
from tasks.classify.linear_model import read_model
from tasks.dataset.store import Store
from tests.conftest import TINY_RECIPE, Sluice, dataset_bytes
from tests.flows.report_stores import RECIPE, crawl

STAGES = ("classifiers", "scores", "thresholds", "corpus")
QUALITY = {
    "positive": ["builtin:quality-high.txt"],
    "negative": ["builtin:quality-low.txt"],
    "negatives_from_corpus": 10,
    "keep_top": 0.5,
}
SPAM = {
    "positive": ["builtin:quality-low.txt"],
    "negative": ["builtin:quality-high.txt"],
    "max_score": 0.3,
    "ngrams": 1,
}


def recipe_with(classifiers: dict[str, Any]) -> Recipe:
    return validated({**yaml.safe_load(TINY_RECIPE), "classifiers": classifiers}, "test")


def rows(store: Path, kind: str, stage: str, fingerprint: str) -> list[dict[str, Any]]:
    parts = sorted((store / kind / stage / fingerprint).glob("*.parquet"))
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


@pytest.mark.slow
def test_a_run_with_classifiers(sluice: Sluice, tmp_path: Path) -> None:
    """A run on two workers gives what its stages give by themselves, part after part."""
    one, two = tmp_path / "one", tmp_path / "two"
    recipe, classifiers = tmp_path / "tiny.yaml", {"classifiers": {"quality": QUALITY, "spam": SPAM}}
    recipe.write_text(yaml.safe_dump(RECIPE | classifiers))
    sluice("corpus", str(recipe), "--store", str(two), "--workers", "2")
    crawl(one, classifiers)
    assert dataset_bytes(one, *STAGES) == dataset_bytes(two, *STAGES)

    stages = {stage.name: stage for stage in store_status(Store(str(two))).stages}
    names = {name: stages[name].fingerprint or "" for name in ("filter", *STAGES)}
    assert all(stages[name].state == "done" for name in names)
    passed = rows(two, "datasets", "filter", names["filter"])
    scored = {row["id"]: row for row in rows(two, "datasets", "scores", names["scores"])}
    decided = rows(two, "decisions", "corpus", names["corpus"])
    assert [row["id"] for row in decided] == [row["id"] for row in passed]
    for row in decided:
        assert (row["id"] in scored) == (row["duplicate_of"] is None)
        assert row["score_quality"] == scored.get(row["id"], {}).get("score_quality")
        assert ("classifier_spam" in row["reasons"]) == ((row["score_spam"] or 0) > 0.3)
    good = [row for row in decided if row["duplicate_of"] is None and "classifier_quality" not in row["reasons"]]
    assert len(good) == round(0.5 * len(scored))
    assert min(row["score_quality"] for row in good) >= max(
        row["score_quality"] for row in decided if "classifier_quality" in row["reasons"]
    )
    for row in rows(two, "datasets", "classifiers", names["classifiers"]):
        read_model(row["model"], row["name"])
        assert json.loads(row["metrics"])["positives"] == 32
    manifest = json.loads((two / "datasets" / "classifiers" / f"{names['classifiers']}.manifest.json").read_text())
    assert manifest["counters"]["quality.negatives"] > manifest["counters"]["spam.negatives"]
    assert manifest["counters"]["spam.auc_in_10000ths"] > 9000


def test_another_threshold_trains_and_scores_nothing_again() -> None:
    digests = {"conversations": "c", "questions": "q"}
    half, most = (
        plan_stages(recipe_with({"quality": QUALITY | {"keep_top": share}}), "CC-MAIN-2026-46", digests)
        for share in (0.5, 0.9)
    )
    changed = [name for name in half if half[name].fingerprint != most[name].fingerprint]
    assert changed[:2] == ["thresholds", "corpus"]


def test_a_recipe_without_classifiers_has_none_of_their_stages() -> None:
    plans = plan_stages(recipe_with({}), "CC-MAIN-2026-46", {"conversations": "c", "questions": "q"})
    assert not {"classifiers", "scores", "thresholds"} & set(plans)
    assert list(plans["corpus"].upstream) == ["filter", "duplicates"]


def test_a_classifier_without_negatives_from_the_corpus_is_the_same_for_every_crawl() -> None:
    digests = {"conversations": "c", "questions": "q"}
    recipe = recipe_with({"spam": SPAM})
    plans = [plan_stages(recipe, crawl, digests) for crawl in ("CC-MAIN-2026-46", "CC-MAIN-2026-51")]
    assert plans[0]["classifiers"].upstream == {}
    assert plans[0]["classifiers"].fingerprint == plans[1]["classifiers"].fingerprint
    assert plans[0]["scores"].fingerprint != plans[1]["scores"].fingerprint
    drawing = plan_stages(recipe_with({"quality": QUALITY}), "CC-MAIN-2026-46", digests)
    assert list(drawing["classifiers"].upstream) == ["filter"]


def test_the_order_of_classifiers_in_a_recipe_means_nothing() -> None:
    digests = {"conversations": "c", "questions": "q"}
    both = [
        plan_stages(recipe_with(classifiers), "CC-MAIN-2026-46", digests)
        for classifiers in ({"a": QUALITY, "b": SPAM}, {"b": SPAM, "a": QUALITY})
    ]
    assert both[0]["scores"].config == both[1]["scores"].config
    assert both[0]["corpus"].fingerprint == both[1]["corpus"].fingerprint


@pytest.mark.parametrize(
    ("classifiers", "said"),
    [
        ({"quality": QUALITY | {"keep_top": None}}, "classifiers.quality: give exactly one of"),
        ({"quality": QUALITY | {"bucket_bit": 3}}, "bucket_bit: no such field; did you mean 'bucket_bits'"),
        ({"Bad name": QUALITY}, "classifiers.Bad name"),
    ],
)
def test_a_wrong_section_names_its_field(classifiers: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        recipe_with(classifiers)
