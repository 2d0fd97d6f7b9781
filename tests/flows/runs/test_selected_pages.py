"""A recipe that selects pages: the same documents however their bytes come, and their cost before they do."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from flows.acquisition_cost import acquisition_cost
from flows.recipe.recipe import Recipe
from flows.stages.plan import plan_stages
from tasks.base.errors import PermanentError
from tasks.dataset.store import Store
from tasks.fetch import selected_records as wanted
from tasks.fetch.crawl_listing import warc_name
from tasks.fetch.wanted_dataset import WARCS_PER_GROUP, fetch_cost
from tests.conftest import Sluice, dataset_bytes
from tests.flows.runs.test_real_crawl import FAULTS
from tests.flows.without_prefect import built_datasets
from tests.tasks.crawl_mirror import CRAWL, Mirror, cut, flip, refuse, running_mirror
from tests.tasks.fetch.test_range_fetching import QUICK
from tests.tasks.indexed_crawl import IndexedPage, write_indexed_crawl

RANGES = {"merge_gap_bytes": 0, "whole_from_share": 1.0}
WHOLE = {"whole_from_share": 0.0}
GERMAN = {"languages": ["de"]}


@pytest.fixture
def crawl(tmp_path: Path) -> list[IndexedPage]:
    return write_indexed_crawl(tmp_path / "web", warcs=4)


@pytest.fixture
def mirror(crawl: list[IndexedPage], tmp_path: Path) -> Iterator[Mirror]:
    with running_mirror(tmp_path / "web") as running:
        yield running


def recipe(base: str | Path, select: dict[str, Any] | None = None, **source: Any) -> Recipe:
    patient = QUICK.model_copy(update={"attempts": 20, "refetches": 10}).model_dump()
    values = {"base": str(base), "crawl": CRAWL, "warcs": "all", "transfer": patient, "select": select} | source
    return Recipe.model_validate({"name": "test", "source": values, "filter": {"languages": []}})


class Carried:
    """A recipe carried out as far as its documents, without Prefect."""

    def __init__(self, store: Path, recipe: Recipe) -> None:
        self.store, self.source = Store(str(store)), recipe.source
        self.plans = plan_stages(recipe, recipe.source.crawl, {})
        self.manifests = dict(built_datasets(self.store, self.plans, self.source, "wanted"))

    def documents(self) -> list[dict[str, Any]]:
        """Every document's row, of every WARC in order."""
        parts = dict(built_datasets(self.store, self.plans, self.source, "extract"))["extract"].parts
        folder = self.store.local(self.plans["extract"].folder)
        return [row for part in parts for row in pq.read_table(folder / part.path).to_pylist()]


def german_ids(crawl: list[IndexedPage]) -> list[str]:
    pages = sorted(
        (page for page in crawl if "deu" in (page.languages or "")), key=lambda page: (page.warc[-13:], page.offset)
    )
    return [page.id for page in pages]


def test_whole_files_and_ranges_give_the_same_parts(mirror: Mirror, crawl: list[IndexedPage], tmp_path: Path) -> None:
    """Fetched, extracted and decided on, byte for byte; from a folder as from a mirror that misbehaves."""
    ways: dict[str, tuple[str | Path, dict[str, Any]]] = {
        "ranges": (mirror.root, RANGES),
        "whole": (mirror.root, WHOLE),
        "near ones together": (mirror.root, {"merge_gap_bytes": 3000, "whole_from_share": 1.0}),
        "mirror, ranges": (mirror.base, RANGES),
        "mirror, whole": (mirror.base, WHOLE),
    }
    made = {}
    for name, (base, way) in ways.items():
        for at in range(20, 300, 7):
            mirror.faults += [refuse(503), cut(0.4), None, None, flip(at), refuse(403), None, cut(0.0), flip(at + 3)]
        carried = Carried(tmp_path / name, recipe(base, GERMAN | way))
        assert [row["id"] for row in carried.documents()] == german_ids(crawl)
        made[name] = dataset_bytes(tmp_path / name, "selection", "wanted", "fetch", "extract")
        assert len(made[name]) > 12
    assert all(parts == made["ranges"] for parts in made.values())


def test_an_object_store_gives_the_same_parts(s3_bucket: str, crawl: list[IndexedPage], tmp_path: Path) -> None:
    import s3fs

    base = f"{s3_bucket}/web"
    s3fs.S3FileSystem(skip_instance_cache=True).put(f"{tmp_path / 'web'}/", base, recursive=True)
    made = {}
    for name, place in (("bucket", base), ("folder", tmp_path / "web")):
        assert [row["id"] for row in Carried(tmp_path / name, recipe(place, GERMAN | RANGES)).documents()]
        made[name] = dataset_bytes(tmp_path / name, "selection", "wanted", "fetch", "extract")
    assert made["bucket"] == made["folder"]


@pytest.mark.slow
def test_real_pages_from_a_bad_mirror_are_those_of_the_folder(common_crawl: Path, tmp_path: Path) -> None:
    """Four languages' pages of all WARC files, by ranges over HTTP and whole from the folder, as labels confirm."""
    languages = ["ja", "sv", "ro", "tr"]
    conditions = {"languages": languages, "mime": ["text/html"], **RANGES}
    command = [sys.executable, str(common_crawl / "serve.py"), "--port", "0", *FAULTS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            carried = Carried(tmp_path / "mirror", recipe(server.stdout.readline().strip(), conditions))
            documents = carried.documents()
        finally:
            server.terminate()
    assert documents == Carried(tmp_path / "folder", recipe(common_crawl, conditions | WHOLE)).documents()
    stages = ("selection", "wanted", "fetch", "extract")
    assert dataset_bytes(tmp_path / "mirror", *stages) == dataset_bytes(tmp_path / "folder", *stages)
    with gzip.open(common_crawl / "labels.jsonl.gz", "rt") as file:
        labels = {f"{warc_name(label['warc'])}:{label['offset']}": label for label in map(json.loads, file)}
    guesses = [labels[document["id"]]["lang"] or labels[document["id"]]["lang_guess"] for document in documents]
    assert len(documents) > 30
    assert sum(guess in languages for guess in guesses) > 0.9 * len(guesses)


def test_the_documents_are_those_of_the_whole_crawl(tmp_path: Path, crawl: list[IndexedPage]) -> None:
    everything = Carried(tmp_path / "all", recipe(tmp_path / "web", {})).documents()
    assert [row["id"] for row in everything] == [
        page.id for page in sorted(crawl, key=lambda page: (page.warc[-13:], page.offset))
    ]
    german = Carried(tmp_path / "german", recipe(tmp_path / "web", GERMAN)).documents()
    wanted = set(german_ids(crawl))
    assert german == [row for row in everything if row["id"] in wanted]


def test_a_sample_is_exact_and_part_of_a_larger_one(tmp_path: Path, crawl: list[IndexedPage]) -> None:
    samples = []
    for most in (3, 10, 11):
        carried = Carried(tmp_path / "store", recipe(tmp_path / "web", GERMAN | {"max_pages": most}))
        assert carried.manifests["wanted"].counters["pages"] == most
        samples.append({row["id"] for row in carried.documents()})
        assert len(samples[-1]) == most
    assert samples[0] < samples[1] < samples[2] <= set(german_ids(crawl))
    other = Carried(tmp_path / "store", recipe(tmp_path / "web", GERMAN | {"max_pages": 10, "seed": 1}))
    assert {row["id"] for row in other.documents()} != samples[1]
    selections = list((tmp_path / "store" / "datasets" / "selection").glob("*.manifest.json"))
    assert len(selections) == 1, "the index was read once"


def test_memory_does_not_decide_what_is_wanted(
    tmp_path: Path, crawl: list[IndexedPage], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, rows in (("ample", 1000), ("scarce", 15), ("none", 1)):
        monkeypatch.setattr(wanted, "ROWS_IN_MEMORY", rows)
        Carried(tmp_path / name, recipe(tmp_path / "web", {"languages": ["de", "en"]}))
    made = [dataset_bytes(tmp_path / name, "wanted") for name in ("ample", "scarce", "none")]
    assert made[0] == made[1] == made[2]


def test_warcs_and_their_order_are_the_recipes(tmp_path: Path, crawl: list[IndexedPage]) -> None:
    carried = Carried(tmp_path / "store", recipe(tmp_path / "web", {}, warcs=[3, 1]))
    names = [row["id"].partition(":")[0][-5:] for row in carried.documents()]
    assert list(dict.fromkeys(names)) == ["00003", "00001"]
    counters = carried.manifests["selection"].counters
    assert (counters["selected"], counters["in_other_warcs"]) == (24, 24)


def test_many_warcs_are_found_in_their_row_groups(tmp_path: Path) -> None:
    write_indexed_crawl(tmp_path / "web", warcs=2 * WARCS_PER_GROUP + 3, pages_per_warc=2)
    carried = Carried(tmp_path / "store", recipe(tmp_path / "web", GERMAN))
    ids = [row["id"] for row in carried.documents()]
    assert [name.partition(":")[0] for name in ids] == sorted(name.partition(":")[0] for name in ids)
    assert len(ids) == carried.manifests["wanted"].counters["pages"]
    assert len({name.partition(":")[0] for name in ids}) > WARCS_PER_GROUP


def test_nothing_wanted_is_an_error(tmp_path: Path, crawl: list[IndexedPage]) -> None:
    with pytest.raises(PermanentError, match=r"source\.select: the index of .* has no page that meets all conditions"):
        Carried(tmp_path / "store", recipe(tmp_path / "web", {"tlds": ["fr"]})).documents()


def test_how_bytes_come_changes_no_fingerprint_and_what_comes_does() -> None:
    def fetch(select: dict[str, Any] | None) -> str:
        return plan_stages(recipe("nowhere", select), CRAWL, {})["fetch"].fingerprint

    assert fetch(GERMAN | RANGES) == fetch(GERMAN | WHOLE) == fetch(GERMAN)
    assert len({fetch(None), fetch({}), fetch(GERMAN), fetch(GERMAN | {"max_pages": 9}), fetch({"status": [200]})}) == 5
    assert "selection" not in plan_stages(recipe("nowhere"), CRAWL, {})


@pytest.mark.parametrize(
    ("source", "synthetic_web", "message"),
    [
        ({"select": {}, "bytes_per_warc": 5}, None, "bytes_per_warc and select exclude each other"),
        ({"select": {}}, {}, "the synthetic web has none"),
        ({"select": {"languages": ["de", "fr"]}}, None, "have no language in common"),
    ],
)
def test_what_cannot_go_with_a_selection_is_refused(source: dict[str, Any], synthetic_web: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Recipe.model_validate({"name": "test", "source": source, "synthetic_web": synthetic_web})


def test_the_plans_numbers_are_what_is_then_asked_for(mirror: Mirror, crawl: list[IndexedPage], tmp_path: Path) -> None:
    for way in (RANGES, WHOLE, {"merge_gap_bytes": 3000, "whole_from_share": 1.0}):
        asked_for = recipe(mirror.base, GERMAN | way)
        cost = acquisition_cost(asked_for, Store(str(tmp_path / "store")), lambda *_: None)
        assert cost.pages == len(german_ids(crawl))
        assert cost.warcs == 4
        carried = Carried(tmp_path / "store", asked_for)
        assert asked_for.source.select
        assert (
            fetch_cost(carried.store, carried.plans["wanted"].fingerprint, asked_for.source.select).requests
            == cost.requests
        )
        mirror.asked.clear()
        carried.documents()
        ranges = [asked.removeprefix("bytes=").split("-") for path, asked in mirror.asked if asked and ".warc" in path]
        assert len(ranges) == cost.requests
        assert sum(int(last) - int(first) + 1 for first, last in ranges) == cost.fetched_bytes
        assert cost.wanted_bytes == carried.manifests["wanted"].counters["bytes"] <= cost.fetched_bytes
        for folder in ("datasets/fetch", "datasets/extract"):
            carried.store.fs.rm(carried.store.full(folder), recursive=True)


def test_an_index_that_unpacks_to_gigabytes_ends_the_plan_in_words(
    mirror: Mirror, crawl: list[IndexedPage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = next(mirror.root.rglob("subset=warc/*.parquet"))
    rows = pa.concat_tables([pq.read_table(file)] * 100)
    place = rows.schema.get_field_index("content_languages")
    one = pa.DictionaryArray.from_arrays(pa.array([0] * len(rows), pa.int32()), ["deu," + "x" * 1_000_000])
    bomb = rows.set_column(place, "content_languages", one)
    pq.write_table(bomb, file, compression="gzip", dictionary_pagesize_limit=8 << 20, store_schema=False)
    assert file.stat().st_size < 200_000
    monkeypatch.setattr("flows.acquisition_cost.MEMORY_BYTES", 600 << 20)
    with pytest.raises(PermanentError, match=r"columnar index could not be read: .*memory.*600 MiB allowed"):
        acquisition_cost(recipe(mirror.base, GERMAN), Store(str(tmp_path / "store")), lambda *_: None)


def test_without_a_selection_sizes_are_asked_for(mirror: Mirror, crawl: list[IndexedPage], tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    sizes = [file.stat().st_size for file in mirror.root.rglob("*.warc.gz")]
    cost = acquisition_cost(recipe(mirror.base), store, lambda *_: None)
    assert (cost.warcs, cost.requests, cost.fetched_bytes) == (4, 4, sum(sizes))
    assert cost.pages == len(crawl)
    assert cost.basis["pages"] == "from the footers of 2 of 2 index files"
    clipped = acquisition_cost(recipe(mirror.base, bytes_per_warc=1000), store, lambda *_: None)
    assert clipped.fetched_bytes == 4000
    (mirror.root / f"crawl-data/{CRAWL}/cc-index-table.paths.gz").unlink()
    cost = acquisition_cost(recipe(mirror.base), store, lambda *_: None)
    assert cost.basis["pages"].startswith("estimated at")
    assert not (tmp_path / "store").exists()


def test_the_plan_verb_and_a_run_that_goes_on_from_it(
    sluice: Sluice, mirror: Mirror, crawl: list[IndexedPage], tmp_path: Path
) -> None:
    values = recipe(mirror.base, GERMAN | RANGES).model_dump(mode="json")
    values["filter"]["profiles"] = []
    values["tokenizer"]["vocab_size"] = 300
    (tmp_path / "test.json.yaml").write_text(json.dumps(values))
    common = (str(tmp_path / "test.json.yaml"), "--store", str(tmp_path / "store"))
    planned = json.loads(sluice("plan", *common, "--json").stdout)["acquisition"]
    assert planned["pages"] == len(german_ids(crawl))
    table = sluice("plan", *common).stdout
    assert f"{planned['requests']}" in table
    assert "counted in the columnar index" in table
    assert not [path for path, _ in mirror.asked if path.endswith(".warc.gz")]
    mirror.asked.clear()
    done = sluice("corpus", *common, "--workers", "2")
    assert f"to fetch: {planned['pages']} pages from 4 WARC files" in done.stderr
    assert not [path for path, _ in mirror.asked if path.endswith(".parquet")], "the selection is there already"
    rows = pa.concat_tables(
        pq.read_table(file) for file in (tmp_path / "store/datasets/extract").rglob("part-*.parquet")
    )
    assert sorted(rows["id"].to_pylist()) == sorted(german_ids(crawl))
    assert not list((tmp_path / "store" / "warcs").rglob("*.gz"))
