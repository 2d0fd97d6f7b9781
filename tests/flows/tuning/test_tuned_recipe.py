"""The recipe that a search leaves: the given one with overrides and found rates, and nothing else."""

import os
from pathlib import Path

import pytest
import yaml

from flows.recipe.loading import validated
from flows.recipe.recipe_file import RecipeError
from flows.tuning.result import Trial, TuneResult
from flows.tuning.tuned_recipe import require_free, tuned_recipe


def result(crawl: str) -> TuneResult:
    own, found = {"muon_lr": 0.03, "head_lr": 0.01}, {"muon_lr": 0.06, "head_lr": 0.01}
    trials = (Trial(rates=own, loss=None), Trial(rates=found, loss=4.5))
    return TuneResult(recipe="demo", crawl=crawl, steps=100, tokens=400_000, seeds=1, trials=trials, found=found)


def test_it_is_the_recipe_with_the_found_rates() -> None:
    text = tuned_recipe("demo", ["pretrain.loop.steps=150"], result("CC-MAIN-2026-46"))
    assert text.startswith("# demo with") and "4.5000 nats a token held out, against diverged" in text
    recipe = validated(yaml.safe_load(text), "tuned")
    assert recipe.pretrain and recipe.pretrain.loop.steps == 150
    optimizer = recipe.pretrain.optimizer
    assert (optimizer.muon_lr, optimizer.head_lr, optimizer.embedding_lr) == (0.06, 0.01, 0.4)


def test_a_crawls_name_adds_no_fields() -> None:
    values = yaml.safe_load(tuned_recipe("demo", (), result("x\nsource: {base: /etc}\n")))
    assert "source" not in values


def test_a_file_that_cannot_be_made_is_refused_before_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RecipeError, match="there is no folder"):
        require_free(tmp_path / "nowhere" / "tuned.yaml")
    require_free(tmp_path / "tuned.yaml")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(RecipeError, match="is read-only"):
        require_free(tmp_path / "tuned.yaml")
