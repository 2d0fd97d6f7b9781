"""A run that ends where the user says, and a later one that goes on from there without redoing anything."""

from pathlib import Path

import pytest

from flows.prepare.planned_run import is_done_already
from flows.recipe.loading import load_recipe
from flows.recipe.settings import RunSettings
from flows.stages.plan import plan_stages
from flows.stages.registry import STAGES, stages_until
from tasks.base.errors import UsageError
from tests.conftest import Sluice


def test_a_stage_brings_what_it_is_made_from() -> None:
    assert stages_until(STAGES, "filter") == ["selection", "wanted", "fetch", "extract", "filter"]
    assert stages_until(STAGES, None) == list(STAGES)
    with pytest.raises(UsageError, match=r"--until filtre: there is no such stage.*filter"):
        stages_until(STAGES, "filtre")


def test_without_a_tokenizer_a_run_ends_with_the_corpus(tiny_recipe: Path) -> None:
    overrides = ["tokenizer=null", "pretrain=null", "sft=null", "evaluate.questions=null"]
    plans = plan_stages(load_recipe(str(tiny_recipe), overrides), "CC-MAIN-2026-46", {})
    assert list(plans)[-1] == "corpus"


@pytest.mark.slow
def test_a_later_run_goes_on_from_there(tiny_recipe: Path, sluice: Sluice, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    without_model = ["pretrain=null", "sft=null", "evaluate.questions=null"]
    words = ["corpus", str(tiny_recipe), "--store", store, *(f"--set={change}" for change in without_model)]
    sluice(*words, "--until", "filter")
    assert {path.name for path in (tmp_path / "store" / "datasets").iterdir()} == {"fetch", "extract", "filter"}
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "store" / "datasets").rglob("*.parquet")}
    recipe = load_recipe(str(tiny_recipe), without_model)
    assert is_done_already("corpus", recipe, RunSettings(store=store, until="filter"))
    assert not is_done_already("corpus", recipe, RunSettings(store=store))
    sluice(*words)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert (tmp_path / "store" / "datasets" / "packing").is_dir()
