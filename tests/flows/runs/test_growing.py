"""Growing is not redoing: two WARC files of a crawl, then three, then eight, fetch and extract two, one and five."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow

from flows.corpus import crawl_to_corpus
from flows.engine.build import build_stages
from flows.engine.open_run import open_run
from flows.engine.part_tasks import part_task_runner
from flows.recipe.loading import load_recipe
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from flows.store.run_record import RunRecord, latest_run
from flows.store.why import explain_stage
from tasks.dataset.store import Store
from tasks.registry import STAGES
from tasks.synthetic_web.generation import generate_synthetic_web
from tasks.synthetic_web.texts.config import SyntheticWebConfig
from tasks.workers.process_name import process_mark
from tests.conftest import dataset_bytes
from tests.flows.crawl_mirror import RECIPE, SMALL
from tests.tasks.crawl_mirror import Mirror, running_mirror

CRAWL = "CC-MAIN-2026-46"
MAPPED = ("fetch", "extract", "filter", "signatures")
SWEPT = ("runs", "reports", "files", "models/one", "tokenizers/one")


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    values = {**SMALL, "warcs": 8, "crawl": CRAWL, "seed": 3}
    generate_synthetic_web(folder, SyntheticWebConfig.model_validate(values))
    return folder


@pytest.fixture
def mirror(web: Path) -> Iterator[Mirror]:
    with running_mirror(web) as running:
        yield running


def recipe_of(mirror: Mirror, tmp_path: Path, *overrides: str) -> Recipe:
    (tmp_path / "growing.yaml").write_text(RECIPE.replace("BASE", mirror.base))
    quick = ("source.transfer.requests_per_second=10000", "source.transfer.first_pause_seconds=0.001")
    return load_recipe(str(tmp_path / "growing.yaml"), (f"source.crawl={CRAWL}", *quick, *overrides))


@flow(task_runner=part_task_runner(), persist_result=False)
def mapped_stages(recipe: Recipe, settings: RunSettings) -> None:
    with open_run(recipe, settings) as run:
        build_stages(run, MAPPED)


def grown(recipe: Recipe, store: Store) -> RunRecord:
    mapped_stages(recipe, RunSettings(store=store.url, workers=2))
    return latest_run(store)


def fetched(mirror: Mirror) -> int:
    """How many WARC files were asked for since this was last called."""
    count = len({path for path, _ in mirror.asked if path.endswith(".warc.gz")})
    mirror.asked.clear()
    return count


def files(store: Store, record: RunRecord, stage: str) -> dict[str, bytes]:
    folder = store.local(record.stages[stage].plan.folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_only_new_warcs_are_fetched_and_extracted(prefect_server: str, mirror: Mirror, tmp_path: Path) -> None:
    store, fresh = Store(str(tmp_path / "store")), Store(str(tmp_path / "fresh"))
    two = recipe_of(mirror, tmp_path, "source.warcs=2")
    first = grown(two, store)
    before = {stage: files(store, first, stage) for stage in MAPPED}
    with subprocess.Popen(["true"]) as killed:
        pass
    left = f".config.json.{process_mark().partition('-')[0]}-{killed.pid}.tmp"
    for folder in SWEPT:
        store.write_bytes(f"{folder}/{left}", b"half")
    assert fetched(mirror) == 2
    for count, new in ((3, 1), (8, 5)):
        record = grown(recipe_of(mirror, tmp_path, f"source.warcs={count}"), store)
        assert fetched(mirror) == new
        assert {stage: record.stages[stage].parts_built for stage in MAPPED} == dict.fromkeys(MAPPED, new)
        assert {stage: record.stages[stage].parts_taken for stage in MAPPED} == dict.fromkeys(MAPPED, count - new)
        assert not [folder for folder in SWEPT if left in store.names(folder)], "what a kill left is removed"

    words = explain_stage(store, "extract").words
    assert "fetch.warcs changed from 3 to 8" in words
    assert "of 8 parts 3 are those of earlier runs, 5 were built" in words

    assert grown(two, store).stages["extract"].parts_built == fetched(mirror) == 0, "the smaller recipe is as it was"
    assert {stage: files(store, first, stage) for stage in MAPPED} == before
    again = grown(recipe_of(mirror, tmp_path, "source.warcs=8"), fresh)
    for stage in MAPPED:
        assert files(fresh, again, stage) == files(store, again, stage), "the same bytes as without a run before"


def test_other_bytes_of_each_warc_are_another_matter(
    prefect_server: str, mirror: Mirror, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(str(tmp_path / "store"))
    grown(recipe_of(mirror, tmp_path, "source.warcs=2", "source.bytes_per_warc=20000"), store)
    with caplog.at_level("INFO"):
        record = grown(recipe_of(mirror, tmp_path, "source.warcs=2", "source.bytes_per_warc=30000"), store)
    assert {stage: record.stages[stage].parts_built for stage in MAPPED} == dict.fromkeys(MAPPED, 2)
    assert "fetch.bytes_per_warc changed from 20000 to 30000: fetch is made again" in caplog.text
    assert "fetch.bytes_per_warc changed from 20000 to 30000" in explain_stage(store, "signatures").words


@pytest.mark.slow
def test_a_grown_corpus_is_that_of_a_fresh_run(prefect_server: str, mirror: Mirror, tmp_path: Path) -> None:
    for store, counts in (("grown", (2, 3)), ("fresh", (3,))):
        for count in counts:
            recipe = recipe_of(mirror, tmp_path, f"source.warcs={count}")
            crawl_to_corpus(recipe, RunSettings(store=str(tmp_path / store), workers=2))
    fresh = dataset_bytes(tmp_path / "fresh", *STAGES)
    grown = dataset_bytes(tmp_path / "grown", *STAGES)
    assert {path: grown[path] for path in fresh} == fresh
