"""A run whose process was killed gives its deployment's only place back, or the deployment never runs again."""

import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from flows.server.loopback_server import ServerAddress
from flows.server.lost_runs import mark_lost_runs

WORKER = "of-the-stack"


@pytest.fixture
def address(prefect_server: str) -> ServerAddress:
    return ServerAddress(prefect_server, prefect_server, os.environ["PREFECT_API_AUTH_STRING"])


@pytest.fixture
def client(address: ServerAddress) -> Iterator[httpx.Client]:
    with address.client() as client:
        yield client


def post(client: httpx.Client, path: str, **body: Any) -> Any:
    return client.post(path, json=body).raise_for_status().json()


@pytest.fixture
def deployment(client: httpx.Client) -> str:
    """The id of a deployment that runs once at a time."""
    flow = post(client, "/flows/", name="lost")["id"]
    name = f"lost-{os.urandom(4).hex()}"
    return str(post(client, "/deployments/", name=name, flow_id=flow, concurrency_limit=1)["id"])


def start_run(client: httpx.Client, deployment: str, worker: str, *states: str) -> str:
    """The id of a run of the deployment that a worker has brought to the last of these states."""
    run: str = post(client, f"/deployments/{deployment}/create_flow_run", state={"type": "SCHEDULED"})["id"]
    client.patch(f"/flow_runs/{run}/labels", json={"prefect.worker.name": worker}).raise_for_status()
    for state in states:
        assert post(client, f"/flow_runs/{run}/set_state", state={"type": state})["status"] == "ACCEPT"
    return run


def state(client: httpx.Client, run: str) -> str:
    return str(client.get(f"/flow_runs/{run}").raise_for_status().json()["state"]["type"])


@pytest.mark.parametrize(("stood", "becomes"), [(["PENDING"], "SCHEDULED"), (["PENDING", "RUNNING"], "CRASHED")])
def test_the_next_run_has_its_place(
    client: httpx.Client, address: ServerAddress, deployment: str, stood: list[str], becomes: str
) -> None:
    lost = start_run(client, deployment, WORKER, *stood)
    mark_lost_runs(address, WORKER)
    assert state(client, lost) == becomes
    start_run(client, deployment, WORKER, "PENDING", "RUNNING", "COMPLETED")


def test_runs_of_other_workers_are_left_alone(client: httpx.Client, address: ServerAddress, deployment: str) -> None:
    """A worker on another machine may well be at work."""
    other = start_run(client, deployment, "another", "PENDING", "RUNNING")
    mark_lost_runs(address, WORKER)
    assert state(client, other) == "RUNNING"
    post(client, f"/flow_runs/{other}/set_state", state={"type": "COMPLETED"})
