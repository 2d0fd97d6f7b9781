"""A deployment with a schedule: the server's scheduler makes its runs and they start, on the locked versions."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from tests.conftest import ROOT, sluice_environment

SERVE = """
import sys
from flows.corpus import crawl_to_corpus
from flows.recipe.loading import load_recipe

recipe = load_recipe(sys.argv[1]).model_dump(mode="json")
crawl_to_corpus.serve("scheduled", interval=20, parameters={"recipe": recipe, "settings": {"store": sys.argv[2]}})
"""
SECONDS = 240.0

T = TypeVar("T")


def wait_until(look: Callable[[], T], folder: Path) -> T:
    """What `look` returns, once that is true; fails with the last lines of the logs in `folder` after `SECONDS`."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if found := look():
                return found
        time.sleep(0.5)
    said = "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in folder.glob("*.log"))
    pytest.fail(f"not within {SECONDS:g} s\n{said}")


@contextmanager
def running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program for the length of the block, what it says in `log`."""
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        )
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.mark.slow
def test_a_schedule_fires(tiny_recipe: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    api = f"http://127.0.0.1:{port}/api"
    environment = sluice_environment(api) | {"PREFECT_HOME": str(tmp_path), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    server = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    serve = [sys.executable, "-c", SERVE, str(tiny_recipe), str(tmp_path / "store")]
    started = {"flow_runs": {"start_time": {"is_null_": False}}}
    with (
        httpx.Client(base_url=api, trust_env=False, timeout=10) as client,
        running(server, environment, tmp_path / "server.log"),
    ):
        wait_until(lambda: client.get("/health").status_code == 200, tmp_path)
        with running(serve, environment, tmp_path / "serve.log"):
            runs = wait_until(lambda: client.post("/flow_runs/filter", json=started).json(), tmp_path)
    assert runs[0]["auto_scheduled"]
