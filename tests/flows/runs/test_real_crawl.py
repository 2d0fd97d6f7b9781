"""Real pages: the same corpus, byte for byte, from a folder and a mirror that misbehaves, on few workers and many."""

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from tests.conftest import Sluice, dataset_bytes, run_sluice, stage_statuses

CRAWL = "CC-MAIN-2026-46"
# With this seed the very first request is refused.
FAULTS = ("--busy", "0.3", "--cut", "0.2", "--flip", "0.1", "--forbid", "0.1", "--seed", "3")
STAGES = ("fetch", "extract", "filter", "duplicates", "corpus", "tokens", "packing")
CONNECTIONS = 2
WORKERS = 3
CHOSEN = {
    "source.crawl": CRAWL,
    "source.warcs": "[1, 2, 3, 4, 5]",
    "source.bytes_per_warc": "250000",
    "source.transfer.connections": str(CONNECTIONS),
    "source.transfer.requests_per_second": "100",
    "source.transfer.first_pause_seconds": "0.02",
    "tokenizer.vocab_size": "600",
}


def corpus_of(base: object, store: Path, workers: int = WORKERS, /, **fields: str) -> list[str]:
    """The arguments that make a corpus of the chosen pages."""
    settings = [f"{field}={value}" for field, value in {**CHOSEN, "source.base": str(base), **fields}.items()]
    sets = [argument for setting in settings for argument in ("--set", setting)]
    return ["corpus", "first-crawl", "--store", str(store), "--workers", str(workers), *sets]


@pytest.fixture
def mirror(common_crawl: Path) -> Iterator[str]:
    """The address of a mirror on loopback that is busy, refuses, cuts bodies short and flips bytes."""
    command = [sys.executable, str(common_crawl / "serve.py"), "--port", "0", *FAULTS]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.communicate()


@pytest.fixture(scope="module")
def from_folder(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every file of the corpus that the folder itself gives."""
    from tests.conftest import COMMON_CRAWL

    if not COMMON_CRAWL.is_dir():
        pytest.skip("the real pages are not here")
    store = tmp_path_factory.mktemp("folder") / "store"
    run_sluice(prefect_server, *corpus_of(COMMON_CRAWL, store))
    return dataset_bytes(store, *STAGES)


@pytest.mark.slow
def test_the_same_corpus_from_a_bad_mirror_and_a_folder(
    sluice: Sluice, mirror: str, from_folder: dict[str, bytes], tmp_path: Path
) -> None:
    sluice(*corpus_of(mirror, tmp_path / "store"))
    assert dataset_bytes(tmp_path / "store", *STAGES) == from_folder
    assert len(from_folder) > 10
    asked: dict[str, Any] = httpx.get(f"{mirror}/_stats").json()
    assert asked["answers"]["503"] > 0
    assert 0 < asked["most_open"] <= CONNECTIONS < WORKERS
    assert not list((tmp_path / "store" / "warcs").rglob("*.gz")), "fetched WARCs are dropped after extraction"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_same_corpus_on_any_number_of_workers(
    workers: int, sluice: Sluice, common_crawl: Path, from_folder: dict[str, bytes], tmp_path: Path
) -> None:
    sluice(*corpus_of(common_crawl, tmp_path / "store", workers))
    assert dataset_bytes(tmp_path / "store", *STAGES) == from_folder


@pytest.mark.slow
def test_a_missing_warc_is_left_out_and_fetched_by_a_later_run(
    sluice: Sluice, prefect_server: str, common_crawl: Path, from_folder: dict[str, bytes], tmp_path: Path
) -> None:
    web, store = tmp_path / "web", tmp_path / "store"
    listing = Path("crawl-data", CRAWL, "warc.paths.gz")
    paths = gzip.decompress((common_crawl / listing).read_bytes()).decode().split()
    for file in (str(listing), *paths[1:5]):
        (web / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(common_crawl / file, web / file)
    lenient = corpus_of(web, store, **{"source.max_failed_share": "0.2"})
    sluice(*lenient)
    status = stage_statuses(prefect_server, store)
    assert (status["fetch"]["parts_done"], status["fetch"]["parts_failed"], status["fetch"]["rows"]) == (5, 1, 4)
    listed = json.loads(sluice("status", "--json", "--store", str(store)).stdout)["failed_warcs"]
    assert [(warc["path"], warc["reason"]) for warc in listed] == [(paths[5], "missing")]
    (decided,) = (pq.read_table(file) for file in (store / "decisions" / "fetch").rglob("part-00004.parquet"))
    assert decided.select(["kept", "reasons", "path"]).to_pylist() == [
        {"kept": False, "reasons": ["missing"], "path": paths[5]}
    ]
    shutil.copyfile(common_crawl / paths[5], web / paths[5])
    sluice(*lenient)
    assert dataset_bytes(store, *STAGES) == from_folder
