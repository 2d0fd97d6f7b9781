"""A tokenizer of the user's own, from the recipe's file to tokens."""

import logging
from pathlib import Path

import pytest

from flows.prepare.planned_run import PlannedRun, plan_run
from flows.recipe.loading import load_recipe
from flows.recipe.settings import RunSettings
from tasks.base.errors import UsageError
from tasks.dataset.manifest import part_path
from tasks.dataset.parts import read_part
from tasks.dataset.store import Store
from tests.flows.crawl_mirror import RECIPE, publish
from tests.flows.without_prefect import built_datasets
from tests.tasks.tokenize.test_tokenizer_training import another_makers_tokenizer


def planned(folder: Path, *overrides: str) -> PlannedRun:
    recipe = load_recipe(str(folder / "own.yaml"), overrides)
    return plan_run(recipe, RunSettings(store=str(folder / "store")), goes_on=False, logger=logging.getLogger())


def test_tokens_are_those_of_the_recipes_own_tokenizer(tmp_path: Path) -> None:
    publish(tmp_path / "mirror", "CC-MAIN-2026-46")
    (tmp_path / "theirs").mkdir()
    another_makers_tokenizer().save(str(tmp_path / "theirs" / "tokenizer.json"))
    own = RECIPE.replace("BASE", str(tmp_path / "mirror")).replace(
        "{vocab_size: 400}", "{path: theirs, vocab_size: 303}"
    )
    (tmp_path / "own.yaml").write_text(own)
    with pytest.raises(UsageError, match=r"tokenizer\.path has 303 tokens, .*set it to 303"):
        planned(tmp_path, "tokenizer.vocab_size=400")

    run = planned(tmp_path)
    assert run.plans["tokenizer"].upstream == {}, "no corpus is read for it"
    manifests = dict(built_datasets(Store(run.store.url), run.plans, run.source, "tokens"))
    assert manifests["tokens"].rows == manifests["corpus"].rows > 10
    (table, *_) = read_part(run.store, part_path("tokens", manifests["tokens"].fingerprint, 0), ["tokens"])
    for tokens in table["tokens"].to_pylist():
        assert tokens[0] == tokens[-1] == 300
        assert max(tokens[1:-1]) < 300
