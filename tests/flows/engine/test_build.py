"""Stages are built in order, a fused pair part by part, and a lost WARC ends only a run that allows none."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.engine import build
from flows.engine.build import build_stages, take_finished
from flows.engine.part_tasks import part_task_runner
from flows.engine.run import Run
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from flows.stages.plan import plan_stages
from flows.stages.registry import STAGES
from flows.store.run_record import Recorder
from tasks.base.errors import PermanentError
from tasks.dataset.leases import Holder, Leases
from tasks.dataset.parts import PartFooter
from tasks.dataset.stage import Stage
from tasks.dataset.store import Store
from tasks.fetch.crawl_listing import SourceConfig
from tasks.sources.transfer import TransferConfig
from tasks.workers.process_name import this_process
from tests.tasks.crawl_mirror import CRAWL, Mirror, running_mirror, warc_path, write_crawl

QUICK = TransferConfig(requests_per_second=10_000, first_pause_seconds=0.001, longest_pause_seconds=0.01)
FUSED = ["fetch", "extract"]


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    write_crawl(tmp_path / "web")
    with running_mirror(tmp_path / "web") as running:
        yield running


def new_run(base: str, folder: Path, max_failed_share: float = 0.0) -> Run:
    """A run of three WARC files in the store below `folder`."""
    source = SourceConfig(base=base, crawl=CRAWL, warcs="all", max_failed_share=max_failed_share, transfer=QUICK)
    recipe, settings = Recipe(name="built", source=source), RunSettings(store=str(folder / "store"), workers=2)
    plans = plan_stages(recipe, CRAWL, {})
    recorder = Recorder.start("building", recipe.model_dump(mode="json"), CRAWL, settings, plans)
    logger = logging.getLogger("test_build")
    store = Store(settings.store)
    leases = Leases(store, Holder(run=recorder.record.run, process=this_process()))
    return Run(recipe, settings, store, source, plans, {}, logger, recorder, leases)


def built(run: Run, server: str) -> Run:
    """The run once `fetch` and `extract` are built, inside a flow."""

    @flow(task_runner=part_task_runner(), persist_result=False)
    def building() -> None:
        build_stages(run, FUSED)

    with temporary_settings({PREFECT_API_URL: server}):
        building()
    return run


def test_a_fused_pair_leaves_no_warc_and_is_not_built_again(
    mirror: Mirror, prefect_server: str, tmp_path: Path
) -> None:
    run = built(new_run(mirror.base, tmp_path), prefect_server)
    assert [len(run.manifests[name].parts) for name in FUSED] == [3, 3]
    assert run.manifests["extract"].rows > 0
    assert run.store.names(f"warcs/{CRAWL}") == [], "dropped once they were extracted"
    again = built(new_run(mirror.base, tmp_path), prefect_server)
    assert again.manifests == run.manifests
    assert [again.recorder.record.stages[name].parts_built for name in FUSED] == [0, 0]


def test_a_lost_warc_within_the_share_is_gone_without_and_asked_for_again(
    mirror: Mirror, prefect_server: str, tmp_path: Path
) -> None:
    lost = mirror.root / warc_path(1)
    content = lost.read_bytes()
    lost.unlink()
    run = built(new_run(mirror.base, tmp_path, max_failed_share=0.34), prefect_server)
    assert [part.counters.get("failed", 0) for part in run.manifests["fetch"].parts] == [0, 1, 0]
    assert [part.rows > 0 for part in run.manifests["extract"].parts] == [True, False, True]
    lost.write_bytes(content)
    again = built(new_run(mirror.base, tmp_path, max_failed_share=0.34), prefect_server)
    assert all(part.rows > 0 for part in again.manifests["extract"].parts)
    assert again.recorder.record.stages["extract"].parts_built == 1


def test_more_lost_warcs_than_the_share_end_the_run(mirror: Mirror, prefect_server: str, tmp_path: Path) -> None:
    (mirror.root / warc_path(1)).unlink()
    run = new_run(mirror.base, tmp_path, max_failed_share=0.3)
    with pytest.raises(PermanentError, match=r"1 of 3 WARC files.*source\.max_failed_share \(0\.3\)"):
        built(run, prefect_server)
    assert run.recorder.record.stages["extract"].state == "failed"
    assert not run.manifests


def test_stages_come_in_order_and_only_those_of_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stages of the recipe that are not there yet, one after the other; `fetch` and `extract` as one."""
    run, seen = new_run("https://nowhere.example", tmp_path), []

    def alone(run: Run, stage: Stage) -> tuple[list[PartFooter], int]:
        seen.append(stage.name)
        return [], 0

    def pair(run: Run, first: Stage, second: Stage) -> tuple[list[tuple[PartFooter, PartFooter]], int]:
        seen.append(f"{first.name}+{second.name}")
        return [], 0

    monkeypatch.setattr(build, "build_all", alone)
    monkeypatch.setattr(build, "build_pairs", pair)
    build_stages(run, ["fetch", "extract", "filter"])
    build_stages(run, STAGES)
    later = [
        "signatures",
        "partitions",
        "candidates",
        "clusters",
        "duplicates",
        "corpus",
        "tokenizer",
        "tokens",
        "packing",
    ]
    assert seen == ["fetch+extract", "filter", *later]
    assert list(run.manifests) == list(run.plans)


def test_what_is_not_in_the_store_is_not_taken(tmp_path: Path) -> None:
    run = new_run("https://nowhere.example", tmp_path)
    with pytest.raises(PermanentError, match=r"no finished fetch dataset.*run `sluice corpus`"):
        take_finished(run, ["selection", "fetch"])
