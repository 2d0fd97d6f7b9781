"""watch-crawls: each new crawl once and in order, months that were missed made up for, earlier corpora reused."""

from pathlib import Path
from typing import Any

import pytest

from flows.prepare.new_crawls import new_crawls
from flows.recipe.loading import load_recipe
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from flows.store.run_record import newest_runs
from flows.watch import watch_crawls
from model.base.json_lines import logged_objects
from tasks.base.errors import SluiceError, UsageError
from tasks.dataset.store import Store
from tasks.tokenize.tokenizer_files import tokenizer_path
from tests.flows.crawl_mirror import RECIPE, publish

OCTOBER, NOVEMBER, DECEMBER, JANUARY = "CC-MAIN-2026-41", "CC-MAIN-2026-46", "CC-MAIN-2026-51", "CC-MAIN-2027-03"


@pytest.mark.parametrize(
    ("listed", "finished", "first", "new"),
    [
        ([NOVEMBER, DECEMBER], [], "latest", [DECEMBER]),
        ([DECEMBER, NOVEMBER, OCTOBER], [], NOVEMBER, [NOVEMBER, DECEMBER]),
        ([JANUARY, DECEMBER, NOVEMBER], [NOVEMBER], "latest", [DECEMBER, JANUARY]),
        ([DECEMBER, NOVEMBER], [DECEMBER], OCTOBER, []),
        ([], [], "latest", []),
    ],
)
def test_the_crawls_after_the_last_one(listed: list[str], finished: list[str], first: str, new: list[str]) -> None:
    assert new_crawls(listed, finished, first) == new


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    publish(tmp_path / "mirror", OCTOBER, NOVEMBER)
    return tmp_path / "mirror"


def recipe_of(mirror: Path, *overrides: str) -> Recipe:
    (mirror.parent / "watched.yaml").write_text(RECIPE.replace("BASE", str(mirror)))
    return load_recipe(str(mirror.parent / "watched.yaml"), overrides)


def built(store: Store) -> list[tuple[str, dict[str, int]]]:
    """The runs of the store, oldest first: crawl, and the parts that each stage built."""
    records = [record for record in newest_runs(store) if record.state == "completed"]
    return [
        (record.crawl, {name: stage.parts_built for name, stage in record.stages.items()})
        for record in reversed(records)
    ]


def watch(recipe: Recipe, store: Store, **options: Any) -> list[str]:
    return watch_crawls(recipe, RunSettings(store=store.url, workers=1), **options)


def test_each_new_crawl_is_carried_out_once_and_missed_ones_are_made_up_for(
    prefect_server: str, mirror: Path, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "store"))
    recipe = recipe_of(mirror)
    assert watch(recipe, store) == [NOVEMBER]
    assert watch(recipe, store) == []
    publish(mirror, DECEMBER, JANUARY)
    assert watch(recipe, store) == [DECEMBER, JANUARY]
    assert watch(recipe, store) == []
    runs = built(store)
    assert [crawl for crawl, _ in runs] == [NOVEMBER, DECEMBER, JANUARY]
    # Two WARC files of each crawl's own. The corpora of the crawls before are read where they lie, and as these crawls
    # have the same pages, and so the same tokenizer, their tokens are taken over too.
    assert [parts["fetch"] for _, parts in runs] == [2, 2, 2]
    assert [parts["corpus"] for _, parts in runs] == [2, 2, 2]
    assert [parts["tokens"] for _, parts in runs] == [2, 2, 2]


def test_a_crawl_that_failed_is_the_next_to_be_tried(prefect_server: str, mirror: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    recipe = recipe_of(mirror, f"source.crawl={OCTOBER}")
    listing = mirror / "crawl-data" / NOVEMBER / "warc.paths.gz"
    whole = listing.read_bytes()
    listing.unlink()
    publish(mirror, DECEMBER)
    with pytest.raises(SluiceError, match=NOVEMBER):
        watch(recipe, store, with_earlier=False)
    assert [crawl for crawl, _ in built(store)] == [OCTOBER]
    listing.write_bytes(whole)
    assert watch(recipe, store, with_earlier=False) == [NOVEMBER, DECEMBER]
    assert [parts["tokens"] for _, parts in built(store)] == [2, 2, 2]


@pytest.mark.slow
def test_training_goes_on_from_the_model_of_the_crawl_before(prefect_server: str, mirror: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    shape = "{layers: 1, hidden_size: 32, heads: 2, kv_heads: 1, intermediate_size: 64}"
    pretrain = f"{{shape: {shape}, loop: {{steps: 30, global_batch_size: 8}}, schedule: {{decay_fraction: 0}}}}"
    recipe = recipe_of(mirror, f"source.crawl={OCTOBER}", f"pretrain={pretrain}", "earlier_crawls.model=true")
    assert watch(recipe, store, with_earlier=False) == [OCTOBER, NOVEMBER]
    second, first = (record.stages for record in newest_runs(store))
    models = [stages["pretrain"].summary["model"] for stages in (first, second)]
    assert second["pretrain"].plan.job_config["init"] == models[0]
    assert first["pretrain"].plan.job_config["init"] is None
    files = [store.local(tokenizer_path(stages["tokenizer"].plan.fingerprint)) for stages in (first, second)]
    assert files[0].read_bytes() == files[1].read_bytes()
    # The same pages and tokenizer: the loss begins where it was.
    logs = [logged_objects(store.local(f"{model}/metrics.jsonl").read_text()) for model in models]
    losses = [[event["loss"] for event in log if event["event"] == "step"] for log in logs]
    assert losses[0][0] > 5.5
    assert losses[1][0] < losses[0][-1] + 0.3 < losses[0][0] - 1


def test_what_cannot_be_watched_is_refused(prefect_server: str, mirror: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    with pytest.raises(UsageError, match="no second crawl"):
        watch(load_recipe("demo"), store)
    weighted = recipe_of(mirror, "mixture.own.weight=1")
    with pytest.raises(UsageError, match="set with_earlier to false"):
        watch(weighted, store)
    assert not (tmp_path / "store").exists()
