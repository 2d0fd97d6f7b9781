"""A run that has nothing to do: known before anything is started, and never said of a store that lacks something."""

import shutil
import subprocess
from pathlib import Path

import pytest

from flows.prepare.planned_run import is_done_already
from flows.recipe.loading import load_recipe
from flows.recipe.settings import RunSettings
from tests.conftest import sluice_command, sluice_environment

FLOW = "crawl-to-chat"


@pytest.fixture
def store(finished_store: Path, tmp_path: Path) -> Path:
    """A copy of the finished store, that may be changed."""
    return Path(shutil.copytree(finished_store, tmp_path / "store"))


def is_done(recipe: Path, store: Path, flow: str = FLOW, *overrides: str) -> bool:
    return is_done_already(flow, load_recipe(str(recipe), overrides), RunSettings(store=str(store)))


def test_the_same_run_again_has_nothing_to_do(tiny_recipe: Path, store: Path) -> None:
    assert is_done(tiny_recipe, store)


@pytest.mark.parametrize(
    "gone",
    [
        "datasets/extract/*/part-00001.parquet",
        "datasets/tokens/*.manifest.json",
        "datasets/evaluate/*/part-00000.parquet",
        "models/*/export",
        "reports/*.html",
        "runs/*.json",
    ],
)
def test_what_is_missing_is_something_to_do(tiny_recipe: Path, store: Path, gone: str) -> None:
    assert is_done(tiny_recipe, store)
    found = list(store.glob(gone))
    assert found
    for path in found:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert not is_done(tiny_recipe, store)


def test_another_recipe_or_another_flow_is_something_to_do(tiny_recipe: Path, store: Path) -> None:
    assert not is_done(tiny_recipe, store, FLOW, "tokens.validation_fraction=0.2")
    assert not is_done(tiny_recipe, store, "corpus")


def test_no_server_is_started_for_nothing(tiny_recipe: Path, store: Path, tmp_path: Path) -> None:
    environment = sluice_environment("") | {"HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path / "prefect")}
    del environment["PREFECT_API_URL"]
    command = sluice_command("run", str(tiny_recipe), "--store", str(store))
    before = sorted((store / "runs").iterdir())
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Nothing to do" in done.stderr and "Prefect UI" not in done.stderr
    assert "completed" in done.stdout
    assert sorted((store / "runs").iterdir()) == before
    assert not (tmp_path / ".sluice").exists()
