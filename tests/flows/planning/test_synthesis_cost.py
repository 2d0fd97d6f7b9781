"""The dry run of synthetic data: how many requests, tokens and how much money, before any of it is spent."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.recipe.recipe import Recipe
from flows.synthesis_cost import StageCost, synthesis_costs
from tasks.dataset.manifest import read_manifest
from tasks.dataset.store import Store
from tests.conftest import TINY_RECIPE
from tests.flows.report_stores import RECIPE, synthetic_web_run


def costs(folder: Path, **synthesis: Any) -> dict[str, StageCost]:
    """The cost of each stage of a recipe whose corpus is in the store."""
    found = synthesis_costs(Recipe.model_validate(RECIPE | {"synthesis": synthesis}), Store(str(folder)))
    assert not isinstance(found, str)
    return {one.stage: one for one in found}


def test_requests_and_tokens_follow_from_the_corpus(tmp_path: Path) -> None:
    plan = synthetic_web_run(tmp_path, with_model=False).record.stages["corpus"].plan
    corpus = read_manifest(Store(str(tmp_path)), "corpus", plan.fingerprint)
    every = costs(tmp_path, rephrase={"formats_per_document": 2}, generator={"max_tokens": 100})["rephrased"]
    assert corpus and every.requests == 2 * corpus.rows
    assert every.reply_tokens == 100 * every.requests and every.prompt_tokens > 100 * every.requests
    some = costs(tmp_path, rephrase={"share": 0.5}, backtranslate={"min_score": 1})
    assert some["rephrased"].requests == round(corpus.rows / 2)
    assert list(some) == ["rephrased", "backtranslated"], "no score is asked for"
    assert "backtranslated, scores" in costs(tmp_path, backtranslate={})


def test_a_prompt_is_a_line_whatever_marks_it_holds(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "one\u2028two\u0085three"}\n', encoding="utf-8")
    assert costs(tmp_path, responses={"prompts": str(prompts)})["responses"].requests == 1


def test_prices_make_a_cost(tmp_path: Path) -> None:
    synthetic_web_run(tmp_path, with_model=False)
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "Who?"}\n' * 10)
    prices = {"price_per_million_prompt_tokens": 2.0, "price_per_million_reply_tokens": 8.0}
    found = costs(tmp_path, responses={"prompts": str(prompts), "samples": 3}, pairs={}, requests=prices)
    assert {stage: one.requests for stage, one in found.items()} == {"responses": 30, "preference_pairs": 30}
    one = found["responses"]
    assert math.isclose(one.cost, (one.prompt_tokens * 2 + one.reply_tokens * 8) / 1e6)


@pytest.mark.parametrize("sections", [{"rephrase": {}}, {"backtranslate": {}}])
def test_without_a_corpus_it_says_what_makes_one(tmp_path: Path, sections: dict[str, Any]) -> None:
    recipe = Recipe.model_validate(yaml.safe_load(TINY_RECIPE) | {"synthesis": sections})
    assert "sluice corpus --until corpus" in str(synthesis_costs(recipe, Store(str(tmp_path))))
    assert synthesis_costs(recipe.model_copy(update={"synthesis": None}), Store(str(tmp_path))) == ()
