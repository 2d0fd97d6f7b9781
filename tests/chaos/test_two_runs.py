"""Two runs at once on one store: the work is done once, and a run that was killed holds nobody up."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tasks.dataset.leases import Holder, Leases
from tasks.dataset.store import Store
from tasks.registry import STAGES as DATA_STAGES
from tasks.workers.process_name import this_process
from tests.chaos.test_kills import kill_when, losses, start
from tests.conftest import Sluice, api_client, dataset_bytes, sluice_command, sluice_environment

TIMES = range(int(os.environ.get("TIMES", "1")))
"""How often each pair of runs is started: `make chaos` asks for ten."""


def run_two(prefect_server: str, *arguments: str) -> None:
    """Two runs of the same command, started at once, which both succeed."""
    command, environment = sluice_command(*arguments), sluice_environment(prefect_server)
    runs = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for run in runs:
        _, said = run.communicate(timeout=300)
        assert run.returncode == 0, said
        assert "Traceback" not in said


def parts_built(store: Path) -> dict[str, int]:
    """How many parts of each stage all runs on the store built."""
    built: dict[str, int] = {}
    for record in (store / "runs").glob("*.json"):
        for name, stage in json.loads(record.read_text())["stages"].items():
            built[name] = built.get(name, 0) + stage["parts_built"]
    return built


@pytest.mark.parametrize("time", TIMES)
def test_two_corpus_runs_do_the_work_once(
    prefect_server: str, tiny_recipe: Path, finished_store: Path, tmp_path: Path, time: int
) -> None:
    store = tmp_path / "store"
    run_two(prefect_server, "corpus", str(tiny_recipe), "--store", str(store))
    assert dataset_bytes(store, *DATA_STAGES) == dataset_bytes(finished_store, *DATA_STAGES)
    once = parts_built(finished_store)
    assert parts_built(store) == {name: once[name] if name in DATA_STAGES else 0 for name in parts_built(store)}
    assert not list(store.rglob("*.tmp"))


@pytest.mark.parametrize("time", TIMES)
def test_two_trainings_train_once(
    prefect_server: str, tiny_recipe: Path, finished_store: Path, tmp_path: Path, time: int
) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished_store, store)
    for redone in ("models", "runs", "datasets/pretrain"):
        shutil.rmtree(store / redone)
    run_two(prefect_server, "pretrain", str(tiny_recipe), "--store", str(store))
    assert parts_built(store)["pretrain"] == 1
    assert losses(store, 12) == losses(finished_store, 12)


def test_a_run_that_does_not_wait_names_the_one_that_builds(
    tiny_recipe: Path, finished_store: Path, sluice: Sluice, tmp_path: Path
) -> None:
    [fingerprint] = [path.name for path in (finished_store / "datasets" / "fetch").iterdir() if path.is_dir()]
    store = Store(str(tmp_path))
    with Leases(store, Holder(run="other", process=this_process())) as leases, leases.holding(f"fetch/{fingerprint}"):
        ended = sluice("corpus", str(tiny_recipe), "--store", str(tmp_path), "--no-wait", expect=1)
    assert f"run other (process {os.getpid()} on " in ended.stderr
    assert f"is building fetch/{fingerprint}" in ended.stderr


def test_a_run_that_was_killed_is_marked_by_the_next_which_does_not_wait(
    prefect_server: str, tiny_recipe: Path, sluice: Sluice, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    killed = start(prefect_server, "corpus", str(tiny_recipe), "--store", str(store))
    kill_when(killed, lambda: any((store / "leases" / "extract").rglob("*.json")))
    [lease] = (store / "leases" / "extract").rglob("*.json")
    holder = json.loads(lease.read_text())["holder"]
    sluice("corpus", str(tiny_recipe), "--store", str(store))
    assert json.loads((store / "runs" / f"{holder['run']}.json").read_text())["state"] == "interrupted"
    with api_client(prefect_server) as client:
        flow_run = client.get(f"/flow_runs/{holder['flow_run']}").raise_for_status().json()
    assert flow_run["state"]["type"] == "CRASHED"
    assert "another run has taken over" in flow_run["state"]["message"]
