"""The same bytes whatever hands out the parts: threads, Dask with two workers, Ray."""

from pathlib import Path

import pytest

from flows.corpus import crawl_to_corpus
from flows.engine.task_runner import part_submission
from flows.recipe.loading import load_recipe
from flows.recipe.settings import RunSettings
from tasks.base.errors import UsageError
from tasks.registry import STAGES
from tests.conftest import dataset_bytes
from tests.flows.crawl_mirror import RECIPE, publish

CRAWL = "CC-MAIN-2026-46"


def corpus_by(runner: str, folder: Path) -> dict[str, bytes]:
    """The files of all datasets and decisions of a corpus."""
    store = folder / f"store-{runner}"
    recipe = load_recipe(str(folder / "watched.yaml"), (f"source.crawl={CRAWL}",))
    settings = {"store": str(store), "workers": 2, "runner": runner}
    crawl_to_corpus(recipe, RunSettings.model_validate(settings))
    return dataset_bytes(store, *STAGES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runners")
    publish(folder / "mirror", CRAWL)
    (folder / "watched.yaml").write_text(RECIPE.replace("BASE", str(folder / "mirror")))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["dask", "ray"])
def test_equal_bytes(prefect_server: str, folder: Path, runner: str) -> None:
    pytest.importorskip(f"prefect_{runner}")
    expected = corpus_by("threads", folder)
    assert len(expected) > 20
    assert corpus_by(runner, folder) == expected


def test_what_is_not_installed_is_said_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.engine.task_runner.find_spec", lambda name: None)
    advice = r"settings\.runner dask needs .* pip install 'sluice\[dask\]'"
    with pytest.raises(UsageError, match=advice), part_submission(RunSettings(runner="dask")):
        pass
