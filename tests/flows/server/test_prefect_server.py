"""A run without a configured server gets a real one that records everything, and leaves no process behind."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import ROOT, sluice_command, stage_statuses
from tests.flows.running_programs import wait_until

pytest.importorskip("prefect")

from flows.server.prefect_server import prefect_api

RUN = """
import sys, time
from pathlib import Path
from flows.server.prefect_server import prefect_api
from prefect import flow, task

@task
def part(number):
    return number

@flow(flow_run_name=sys.argv[2])
def crawl(seconds: float):
    total = sum(future.result() for future in [part.submit(number) for number in range(60)])
    print("total", total, flush=True)
    time.sleep(seconds)

with prefect_api(sys.argv[1]) as server:
    print("server", server.api_url, flush=True)
    print("password", server.password, flush=True)
    crawl(float(sys.argv[3]))
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture
def started(data_dir: Path) -> Iterator[Any]:
    running: list[subprocess.Popen[str]] = []
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(data_dir / "home"), "PYTHONPATH": str(ROOT)}

    def start(name: str, seconds: float) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", RUN, str(data_dir), name, str(seconds)]
        running.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def says(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(word):
            return line.removeprefix(word).strip()
    raise AssertionError(f"it ended without saying {word!r}")


def answers(api_url: str) -> bool:
    try:
        return httpx.get(f"{api_url}/health", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def kill_server(run: subprocess.Popen[str]) -> None:
    for process in psutil.Process(run.pid).children(recursive=True):
        if "uvicorn" in process.cmdline():
            process.kill()


def states(data_dir: Path, table: str) -> Counter[str]:
    with closing(sqlite3.connect(data_dir / "0" / "prefect.db")) as database:
        rows = database.execute(f"select name, state_type from {table}")
        return Counter(f"{name.partition('-')[0]} {state}" for name, state in rows)


def test_everything_is_recorded_and_the_server_ends_with_the_run(data_dir: Path, started: Any) -> None:
    run = started("first", 0)
    api_url = says(run, "server")
    assert answers(api_url)
    assert "<title>" in httpx.get(api_url.removesuffix("/api"), trust_env=False, follow_redirects=True).text
    assert says(run, "total") == "1770"
    assert run.wait(60) == 0
    assert not answers(api_url)
    assert states(data_dir, "flow_run") == {"first COMPLETED": 1}
    assert states(data_dir, "task_run") == {"part COMPLETED": 60}


@pytest.mark.slow
def test_a_killed_run_and_an_interrupted_one_leave_no_server_and_are_marked(data_dir: Path, started: Any) -> None:
    run = started("killed", 600)
    api_url = says(run, "server")
    says(run, "total")
    run.send_signal(signal.SIGKILL)
    run.wait()
    end = time.monotonic() + 5
    while answers(api_url) and time.monotonic() < end:
        time.sleep(0.05)
    assert not answers(api_url)
    assert states(data_dir, "flow_run")["killed RUNNING"] == 1

    run = started("interrupted", 600)
    api_url = says(run, "server")
    says(run, "total")
    run.send_signal(signal.SIGINT)
    assert run.wait(60) != 0
    assert not answers(api_url)
    assert states(data_dir, "flow_run").items() >= {"killed CRASHED": 1, "interrupted CRASHED": 1}.items()


@pytest.mark.slow
def test_a_killed_server_is_started_again_and_the_run_goes_on(data_dir: Path, started: Any) -> None:
    run = started("survivor", 1)
    api_url = says(run, "server")
    says(run, "total")
    kill_server(run)
    assert run.wait(300) == 0
    assert not answers(api_url)
    assert states(data_dir, "flow_run")["survivor COMPLETED"] == 1


@pytest.mark.slow
def test_a_run_goes_on_without_a_server_that_does_not_start_again(tiny_recipe: Path, tmp_path: Path) -> None:
    """It is told so, does its work without waiting for each of its requests, and ends with a sentence."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    command = sluice_command("corpus", str(tiny_recipe), "--store", str(tmp_path / "store"), "--workers", "1")
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as run:
        wait_until(lambda: list((tmp_path / "store" / "leases").rglob("*.json")), tmp_path)
        for database in (tmp_path / ".sluice").rglob("prefect.db*"):
            database.write_bytes(b"no database" * 1000)
        kill_server(run)
        killed = time.monotonic()
        _, said = run.communicate(timeout=300)
    assert time.monotonic() - killed < 150
    assert run.returncode == 1
    assert "did not start" in said and "The run goes on without it." in said
    assert "has ended. What was finished is kept; the same command goes on from there." in said
    assert 'File "' not in said  # what its last words are of, is told without the code
    assert stage_statuses("", tmp_path / "store")["packing"]["state"] == "done"


def test_the_server_answers_this_run_only(data_dir: Path, started: Any) -> None:
    """Another user, or a web page in a browser on this machine, reaches the port too."""
    run = started("alone", 600)
    api_url, password = says(run, "server"), says(run, "password")
    says(run, "total")
    url, (user, _, secret) = f"{api_url}/flow_runs/filter", password.partition(":")
    with httpx.Client(trust_env=False, auth=(user, secret)) as known, httpx.Client(trust_env=False) as unknown:
        assert known.post(url, json={}).status_code == 200
        assert unknown.post(url, json={}).status_code == 401
        assert unknown.post(url, json={}, auth=("sluice", "guessed")).status_code == 401
        foreign = known.post(url, json={}, headers={"Origin": "https://page.example"})
        assert "access-control-allow-origin" not in foreign.headers
        own = api_url.removesuffix("/api")
        assert known.post(url, json={}, headers={"Origin": own}).headers["access-control-allow-origin"] == own
        for host in ("page.example", "127.0.0.1.page.example:80", ""):
            assert known.post(url, json={}, headers={"Host": host}).status_code == 400
            assert unknown.get(own, headers={"Host": host}).status_code == 400
    folder = data_dir / "0"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "prefect.db").stat().st_mode) == 0o600


def test_each_run_has_a_password_of_its_own(data_dir: Path, started: Any) -> None:
    runs = [started(name, 600) for name in ("one", "two")]
    passwords = [says(run, "password").partition(":")[2] for run in runs]
    assert len(set(passwords)) == 2 and all(len(each) >= 32 for each in passwords)


def test_a_configured_server_is_used_as_it_is(tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: "http://prefect.example:4200/api"}), prefect_api(tmp_path) as server:
        assert (server.api_url, server.is_ours) == ("http://prefect.example:4200/api", False)
        assert server.ui_url.startswith("http://prefect.example:4200")
    assert not list(tmp_path.iterdir())
