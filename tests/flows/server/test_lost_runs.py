"""A run whose process was killed gives its deployment's only place back, or the deployment never runs again."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from flows.server import lost_runs
from flows.server.loopback_server import ServerAddress
from flows.server.lost_runs import mark_lost_runs
from tests.flows.running_programs import free_port

WORKER = "of-the-stack"


@pytest.fixture
def address(prefect_server: str) -> ServerAddress:
    return ServerAddress(prefect_server, prefect_server, os.environ["PREFECT_API_AUTH_STRING"])


@pytest.fixture
def client(address: ServerAddress) -> Iterator[httpx.Client]:
    with address.client() as client:
        yield client


def post(client: httpx.Client, path: str, **body: Any) -> Any:
    return client.post(path, json=body).json()


@pytest.fixture
def deployment(client: httpx.Client) -> Iterator[str]:
    """The id of a deployment that runs once at a time. It goes with the test: others count the server's deployments."""
    flow = post(client, "/flows/", name="lost")["id"]
    name = f"lost-{os.urandom(4).hex()}"
    identity = post(client, "/deployments/", name=name, flow_id=flow, concurrency_limit=1)["id"]
    yield identity
    client.delete(f"/deployments/{identity}")


def start_run(client: httpx.Client, deployment: str, worker: str, *states: str) -> str:
    """The id of a run of the deployment that a worker has brought to the last of these states."""
    run: str = post(client, f"/deployments/{deployment}/create_flow_run", state={"type": "SCHEDULED"})["id"]
    client.patch(f"/flow_runs/{run}/labels", json={"prefect.worker.name": worker})
    for state in states:
        assert post(client, f"/flow_runs/{run}/set_state", state={"type": state})["status"] == "ACCEPT"
    return run


def state(client: httpx.Client, run: str) -> str:
    return str(client.get(f"/flow_runs/{run}").json()["state"]["type"])


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


def test_none_is_missed_where_they_fill_several_pages(
    client: httpx.Client, address: ServerAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_runs, "_PAGE", 2)
    flow = post(client, "/flows/", name="lost")["id"]
    labels = {"prefect.worker.name": WORKER}
    running = [
        post(client, "/flow_runs/", flow_id=flow, labels=labels, state={"type": "RUNNING"})["id"] for _ in "12345"
    ]
    mark_lost_runs(address, WORKER)
    assert {state(client, run) for run in running} == {"CRASHED"}


@pytest.fixture
def busy_server() -> Iterator[tuple[ServerAddress, list[int]]]:
    """A server that is too busy to answer each request the first time; the statuses that it sent."""
    sent: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            sent.append(200 if sent and sent[-1] == 503 else 503)
            self.send_response(sent[-1])
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield ServerAddress.on_loopback(server.server_port, "user:password"), sent
        server.shutdown()


def test_a_busy_server_is_asked_again(busy_server: tuple[ServerAddress, list[int]]) -> None:
    """SQLite that another request has locked is a 503 of Prefect's."""
    address, sent = busy_server
    with address.client() as client:
        assert post(client, "/flow_runs/filter") == {}
    assert sent == [503, 200]


def test_a_server_that_does_not_say_is_no_silence(caplog: pytest.LogCaptureFixture) -> None:
    mark_lost_runs(ServerAddress.on_loopback(free_port(), "user:password"), WORKER)
    assert "did not say which runs were killed" in caplog.text
