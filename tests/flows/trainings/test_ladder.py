"""The ladder: which models it has, what is left out, that it goes on after a kill, and that a plan uses its law."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flows.planning.ladder_models import ladder_models
from flows.planning.ladder_result import LadderResult
from flows.recipe.loading import load_recipe
from flows.recipe.recipe_file import RecipeError
from flows.recipe.trial_config import LadderConfig
from flows.stages.ladder import STAGE
from model.base.config import PretrainSection
from tests.chaos.test_kills import kill_when, start
from tests.conftest import Sluice

TARGETS, SEQUENCES = 266_346, 1_183
"""Of the demo's corpus."""


@pytest.fixture
def section() -> PretrainSection:
    found = load_recipe("demo").pretrain
    assert found
    return found


def test_every_size_is_trained_on_every_number_of_tokens(section: PretrainSection) -> None:
    config = LadderConfig(sizes=(0.25, 0.5, 1.0), tokens_per_parameter=(0.5, 1.0), max_epochs=100)
    planned, left_out = ladder_models(section, config, TARGETS, SEQUENCES)
    assert not left_out
    assert {(planned_model.shape.layers, planned_model.shape.hidden_size) for planned_model in planned} == {
        (1, 48),
        (2, 96),
        (4, 192),
    }
    assert len(planned) == 6
    assert [planned_model.flop for planned_model in planned] == sorted(planned_model.flop for planned_model in planned)
    for planned_model in planned:
        loop = planned_model.config["loop"]
        tokens = loop["steps"] * loop["global_batch_size"] * TARGETS / SEQUENCES
        assert tokens == pytest.approx(planned_model.tokens_per_parameter * planned_model.parameters, rel=0.02)


def test_the_recipes_own_size_learns_as_in_the_recipe(section: PretrainSection) -> None:
    config = LadderConfig(sizes=(1.0,), tokens_per_parameter=(0.25,))
    (planned_model,), _ = ladder_models(section, config, TARGETS, SEQUENCES)
    assert planned_model.shape == section.shape
    assert planned_model.config["loop"]["global_batch_size"] == section.loop.global_batch_size
    assert planned_model.config["optimizer"]["muon_lr"] == section.optimizer.muon_lr


def test_what_the_corpus_is_too_small_for_is_left_out(section: PretrainSection) -> None:
    config = LadderConfig(sizes=(0.5, 1.0), tokens_per_parameter=(1.0, 20.0), max_epochs=4)
    planned, left_out = ladder_models(section, config, TARGETS, SEQUENCES)
    assert [(planned_model.shape.layers, planned_model.tokens_per_parameter) for planned_model in planned] == [(2, 1.0)]
    assert left_out[-1] == "2.21M parameters, 20 tokens each: 166.2 times over the corpus"


def test_equal_sizes_are_trained_once(section: PretrainSection) -> None:
    config = LadderConfig(sizes=(0.5, 0.51), tokens_per_parameter=(1.0,))
    assert len(ladder_models(section, config, TARGETS, SEQUENCES)[0]) == 1


def test_pace_names_no_model(section: PretrainSection) -> None:
    slower = load_recipe("demo", ["pretrain.loop.threads=1", "pretrain.loop.checkpoint_every=7"]).pretrain
    assert slower
    config = LadderConfig(sizes=(0.5,), tokens_per_parameter=(1.0,))
    (one,), (other,) = (ladder_models(each, config, TARGETS, SEQUENCES)[0] for each in (section, slower))
    assert STAGE.meaning(one.config) == STAGE.meaning(other.config)
    assert one.config != other.config


def test_a_ladder_of_nothing_is_refused() -> None:
    with pytest.raises(RecipeError, match="above 0"):
        load_recipe("demo", ["ladder.sizes=[0.5, 0]"])


def events(folder: Path) -> list[Mapping[str, Any]]:
    log = folder / "metrics.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.mark.slow
def test_a_killed_ladder_goes_on_and_a_plan_uses_its_law(
    prefect_server: str, sluice: Sluice, finished_store: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished_store, store)
    ladder = ("ladder.sizes=[0.5,1,2]", "ladder.tokens_per_parameter=[1,2.5]", "ladder.max_epochs=1000")
    options = [word for each in (*ladder, "pretrain.loop.threads=1") for word in ("--set", each)]
    arguments = [str(tiny_recipe), "--store", str(store), *options]

    def models() -> list[Path]:
        return sorted((store / "models").glob("tiny-ladder-*"), key=lambda folder: folder.stat().st_ctime)

    def in_the_second() -> bool:
        begun = [folder for folder in models() if list(folder.glob("checkpoints/step-*[0-9]"))]
        done = list((store / "datasets" / "ladder").glob("*.manifest.json"))
        return len(done) >= 1 and len(begun) == 1

    kill_when(start(prefect_server, "ladder", *arguments), in_the_second)
    finished = {path: path.stat().st_mtime_ns for path in (store / "datasets" / "ladder").rglob("*.parquet")}
    (killed,) = [folder for folder in models() if list(folder.glob("checkpoints/step-*[0-9]"))]

    shown = sluice("ladder", *arguments).stdout
    assert "L(N, D) = " in shown
    assert all(path.stat().st_mtime_ns == before for path, before in finished.items())
    assert [event["event"] for event in events(killed)].count("resume") == 1
    (path,) = (store / "ladders").glob("tiny-*.json")
    result = LadderResult.model_validate_json(path.read_text())
    assert len(result.models) == 6
    assert {(model.layers, model.hidden_size) for model in result.models} == {(1, 16), (2, 32), (4, 64)}
    assert not list((store / "models").glob("tiny-ladder-*/checkpoints"))

    plan = json.loads(sluice("plan", *arguments, "--flops", "1e12", "--json").stdout)["training"]
    assert plan["outcomes"][0]["law"]["name"] == "ladder"
    assert "measured" in plan["basis"]["loss"] or "times" in plan["basis"]["loss"]
    report = max((store / "reports").glob("*.html")).read_text()
    assert 'id="ladder"' in report and "Scaling law" in report
