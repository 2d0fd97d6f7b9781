"""A deployed run that is cancelled ends soon, says so everywhere, leaves nothing running, and can be taken up again."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from tests.conftest import ROOT, api_client, run_sluice, sluice_command, sluice_environment
from tests.flows.deployed.test_deployments import parameters, prefect

DEPLOYMENT = "crawl-to-chat/default"
LONGEST_WAIT = 240.0
SECONDS_TO_CANCEL = 40.0
"""10 are the aim on a machine that does nothing else. The run takes 1 to 3 of them; then the worker imports the flow in
a process of its own, to look for hooks, which takes several times as long on busy cores."""


@pytest.fixture(scope="module")
def worker(prefect_server: str) -> Iterator[psutil.Process]:
    """A process worker on a server that has the deployments."""
    prefect(prefect_server, "work-pool", "create", "sluice", "--type", "process", "--overwrite")
    prefect(prefect_server, "deploy", "--all", "--no-prompt")
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "sluice"]
    with subprocess.Popen(command, cwd=ROOT, env=sluice_environment(prefect_server)) as process:
        yield psutil.Process(process.pid)
        process.terminate()


def until(look: Callable[[], Any], seconds: float = LONGEST_WAIT) -> float:
    """Wait until `look` returns something true; return how long that took, in seconds."""
    started = time.monotonic()
    while not look():
        assert time.monotonic() - started < seconds, "it never came"
        time.sleep(0.2)
    return time.monotonic() - started


def cancel(server: str) -> str:
    """Cancel the newest run, as the UI does; return its id when it is over."""
    with api_client(server) as client:
        run = newest_run(client)
        state = {"state": {"type": "CANCELLING"}}
        client.post(f"/flow_runs/{run}/set_state", json=state).raise_for_status()
        seconds = until(lambda: client.get(f"/flow_runs/{run}").json()["state"]["type"] == "CANCELLED")
    print(f"cancelled in {seconds:.1f} s")
    assert seconds < SECONDS_TO_CANCEL
    return run


def newest_run(client: httpx.Client) -> str:
    """The id of the newest run of the deployment."""
    begun = {"start_time": {"is_null_": False}}
    query = {"flow_runs": begun, "deployments": {"name": {"any_": ["default"]}}, "sort": "START_TIME_DESC"}
    return str(client.post("/flow_runs/filter", json=query).raise_for_status().json()[0]["id"])


@pytest.mark.slow
def test_cancelled_in_a_long_part(
    prefect_server: str, worker: psutil.Process, tiny_recipe: Path, tmp_path: Path
) -> None:
    values = yaml.safe_load(tiny_recipe.read_text())
    values["synthetic_web"] |= {"towns": 60, "pages_per_town": 60, "warcs": 1}
    prefect(prefect_server, "deployment", "run", DEPLOYMENT, *parameters(values, tmp_path))
    until(lambda: any((tmp_path / "leases" / "extract").rglob("*.json")))
    time.sleep(3)
    run = cancel(prefect_server)
    [record] = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*.json")]
    assert record["state"] == record["stages"]["extract"]["state"] == "cancelled"
    assert "Cancelled by SIGTERM" in record["error"]
    until(lambda: not worker.children(recursive=True), SECONDS_TO_CANCEL)
    with api_client(prefect_server) as client:
        tasks = client.post("/task_runs/filter", json={"flow_runs": {"id": {"any_": [run]}}}).raise_for_status().json()
    assert tasks and {task["state"]["type"] for task in tasks} <= {"COMPLETED", "CANCELLED"}


@pytest.mark.slow
def test_cancelled_in_training_and_taken_up_again(
    prefect_server: str, worker: psutil.Process, tiny_recipe: Path, tmp_path: Path
) -> None:
    values = yaml.safe_load(tiny_recipe.read_text())
    values["pretrain"]["loop"] |= {"steps": 2000, "checkpoint_every": 20}
    prefect(prefect_server, "deployment", "run", DEPLOYMENT, *parameters(values, tmp_path))
    until(lambda: any((tmp_path / "models").glob("*-pretrain-*/checkpoints/step-*")))
    run = cancel(prefect_server)
    [record] = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*.json")]
    assert record["state"] == record["stages"]["pretrain"]["state"] == "cancelled"
    assert record["stages"]["packing"]["state"] == "done"
    until(lambda: not worker.children(recursive=True), SECONDS_TO_CANCEL)
    prefect(prefect_server, "flow-run", "retry", run)
    until(lambda: len(list((tmp_path / "runs").glob("*.json"))) == 2)
    until(lambda: '"resume"' in next((tmp_path / "models").glob("*-pretrain-*/metrics.jsonl")).read_text())
    cancel(prefect_server)


@pytest.mark.slow
def test_interrupted_in_the_report(prefect_server: str, tiny_recipe: Path, tmp_path: Path) -> None:
    """All data is there by then, so the run that takes it up again only writes the report."""
    values = yaml.safe_load(tiny_recipe.read_text()) | {"pretrain": None, "sft": None}
    del values["evaluate"]
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(values))
    store = tmp_path / "store"
    command = sluice_command("run", str(tmp_path / "data.yaml"), "--store", str(store))

    def records() -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted((store / "runs").glob("*.json"))]

    with subprocess.Popen(command, env=sluice_environment(prefect_server), stderr=subprocess.PIPE, text=True) as run:
        until(lambda: [record["state"] for record in records()] == ["completed"])
        run.send_signal(signal.SIGINT)
        said = run.communicate()[1]
    [record] = records()
    assert run.returncode == 130
    assert "What was finished is kept" in said and "Traceback" not in said
    assert record["state"] == "cancelled" and "Cancelled by Ctrl-C" in record["error"]
    assert not list((store / "reports").glob("*"))
    with api_client(prefect_server) as client:
        assert client.get(f"/flow_runs/{record['flow_run']}").json()["state"]["type"] == "CANCELLED"
    run_sluice(prefect_server, *command[3:])
    taken_up = records()[-1]
    assert taken_up["state"] == "completed"
    assert not any(stage["parts_built"] for stage in taken_up["stages"].values())
    assert (store / "reports" / f"{taken_up['run']}.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["in the UI", "Ctrl-C"])
def test_cancelled_without_a_worker(prefect_server: str, tiny_recipe: Path, tmp_path: Path, way: str) -> None:
    """`sluice run` in a terminal: nobody but its own process can end it."""
    values = yaml.safe_load(tiny_recipe.read_text())
    values["pretrain"]["loop"] |= {"steps": 20_000, "checkpoint_every": 20}
    (tmp_path / "long.yaml").write_text(yaml.safe_dump(values))
    command = sluice_command("run", str(tmp_path / "long.yaml"), "--store", str(tmp_path / "store"))
    with subprocess.Popen(
        command, env=sluice_environment(prefect_server), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        until(lambda: any((tmp_path / "store" / "models").glob("*-pretrain-*/checkpoints/step-*")))
        [lease] = (tmp_path / "store" / "leases" / "pretrain").rglob("*.json")
        flow_run = json.loads(lease.read_text())["holder"]["flow_run"]
        started = psutil.Process(run.pid).children(recursive=True)
        with api_client(prefect_server) as client:
            if way == "Ctrl-C":
                run.send_signal(signal.SIGINT)
            else:
                cancelling = {"state": {"type": "CANCELLING"}}
                client.post(f"/flow_runs/{flow_run}/set_state", json=cancelling).raise_for_status()
            seconds = until(lambda: run.poll() is not None)
            print(f"cancelled in {seconds:.1f} s")
            said = run.communicate()[1]
            state = client.get(f"/flow_runs/{flow_run}").json()["state"]
            of_it = {"flow_runs": {"id": {"any_": [flow_run]}}}
            until(lambda: client.post("/task_runs/filter", json=of_it).json()[0]["state"]["type"] != "RUNNING")
            tasks = client.post("/task_runs/filter", json=of_it).json()
            shown = client.post("/artifacts/filter", json=of_it).json()
            logs = client.post("/logs/filter", json={"logs": {"flow_run_id": {"any_": [flow_run]}}}).json()
    assert seconds < SECONDS_TO_CANCEL
    assert run.returncode == (130 if way == "Ctrl-C" else 143)
    assert "What was finished is kept" in said and "Traceback" not in said
    assert state["type"] == "CANCELLED" and "What was finished is kept" in state["message"]
    assert {task["state"]["type"] for task in tasks if task["name"].startswith("pretrain")} == {"CANCELLED"}
    assert {task["state"]["type"] for task in tasks} <= {"COMPLETED", "CANCELLED"}
    assert not [log["message"] for log in logs if "Crash" in log["message"]]
    assert len([log for log in logs if "pretrain: step" in log["message"]]) <= 1, "a line a minute"
    assert not [process for process in started if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    print([artifact["description"] for artifact in shown])
