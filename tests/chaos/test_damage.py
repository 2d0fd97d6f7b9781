"""Files deleted, damaged or left over: what is missing is rebuilt, what is foreign is not taken for ours."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import Sluice, dataset_bytes, stage_statuses

STAGES = ("filter", "corpus", "tokens", "packing")


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["deleted", "cut", "foreign"])
def test_a_damaged_part_is_rebuilt(
    damage: str, prefect_server: str, sluice: Sluice, finished_store: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished_store, store)
    part = next((store / "datasets" / "filter").rglob("part-00001.parquet"))
    if damage == "deleted":
        part.unlink()
    elif damage == "cut":
        part.write_bytes(part.read_bytes()[:100])
    else:
        shutil.copyfile(part.with_name("part-00000.parquet"), part)
    if damage == "deleted":
        assert stage_statuses(prefect_server, store)["filter"]["state"] == "partial"
    sluice("corpus", str(tiny_recipe), "--store", str(store))
    assert dataset_bytes(store, *STAGES) == dataset_bytes(finished_store, *STAGES)


@pytest.mark.slow
def test_a_warc_that_another_recipe_left_is_fetched_again(
    sluice: Sluice, finished_store: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """The first bytes of a file and the whole of it have one name in the store, and must not be mistaken."""
    store = tmp_path / "store"
    first = ["--set", "source.keep_warcs=true", "--set", "source.bytes_per_warc=60000"]
    sluice("corpus", str(tiny_recipe), "--store", str(store), *first, "--set", "tokenizer.vocab_size=300")
    kept = sorted((store / "warcs").rglob("*.warc.gz"))
    assert kept
    before = dataset_bytes(store, "extract")
    for warc in kept:
        warc.write_bytes(warc.read_bytes()[:-5000])
    shutil.rmtree(store / "datasets" / "extract")
    sluice("corpus", str(tiny_recipe), "--store", str(store), *first, "--set", "tokenizer.vocab_size=300")
    assert dataset_bytes(store, "extract") == before
