"""`sluice tune`: it finds better rates than bad ones, trains nothing twice, and leaves a recipe that runs."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from flows.recipe.loading import load_recipe
from flows.tuning.result import newest_tuning
from tasks.dataset.store import Store
from tests.chaos.test_kills import kill_when, start
from tests.conftest import Sluice, stage_statuses


@pytest.mark.slow
def test_a_search_improves_bad_rates_and_leaves_a_recipe_with_those_it_found(
    sluice: Sluice, finished_store: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished_store, store)
    slow = ("pretrain.optimizer.muon_lr=0.001", "pretrain.optimizer.head_lr=0.0005")
    search = ("tune.rates=[muon_lr, head_lr]", "tune.factor=8", "tune.rounds=1", "tune.steps=8", "tune.parallel=2")
    options = [word for each in (*slow, *search) for word in ("--set", each)]
    arguments = [str(tiny_recipe), "--store", str(store), *options]

    shown = sluice("tune", *arguments, "--out", str(tmp_path / "first.yaml")).stdout
    result = newest_tuning(Store(str(store)), "tiny")
    assert result
    own, *others = result.trials
    assert own.rates == {"muon_lr": 0.001, "head_lr": 0.0005} and len(others) >= 4
    assert own.loss and min(trial.loss for trial in others if trial.loss) < own.loss - 0.03
    assert own.in_words in shown
    assert result.fresh and result.fresh.seeds == 2 and result.fresh.best.rates == result.found
    fresh, own_fresh = result.fresh.best.loss, result.fresh.own.loss
    assert fresh and own_fresh and fresh < own_fresh

    optimizer = load_recipe(str(tmp_path / "first.yaml")).pretrain.optimizer  # type: ignore[union-attr]
    assert {name: getattr(optimizer, name) for name in own.rates} == result.found != own.rates
    assert not list((store / "models").glob("tiny-tune-*/checkpoints"))

    trained = {path: path.stat().st_mtime_ns for path in (store / "datasets" / "tune").rglob("*.parquet")}
    repeated = sluice("tune", *arguments, "--set", "tune.parallel=1", "--json", "--out", str(tmp_path / "second.yaml"))
    again = json.loads(repeated.stdout)
    assert again["stages"]["tune"]["summary"]["found"] == result.found
    assert trained == {path: path.stat().st_mtime_ns for path in (store / "datasets" / "tune").rglob("*.parquet")}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_an_interrupted_search_ends_all_trainings_of_its_round(
    prefect_server: str, finished_store: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished_store, store)
    endless = ("tune.steps=1000000", "tune.parallel=2", "pretrain.loop.threads=1")
    options = [word for each in endless for word in ("--set", each)]
    arguments = [str(tiny_recipe), "--store", str(store), "--out", str(tmp_path / "tuned.yaml"), *options]

    def two_train() -> bool:
        return len(list((store / "models").glob("tiny-tune-*/metrics.jsonl"))) == 2

    kill_when(start(prefect_server, "tune", *arguments), two_train, signal.SIGINT)
    assert stage_statuses(prefect_server, store)["tune"]["state"] == "cancelled"
    assert not (tmp_path / "tuned.yaml").exists()
