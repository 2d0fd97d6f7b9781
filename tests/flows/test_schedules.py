"""A deployment with a schedule: the server's scheduler makes its runs and they start, on the locked versions."""

import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import sluice_environment
from tests.flows.running_programs import free_port, running, wait_until

SERVE = """
import sys
from flows.corpus import crawl_to_corpus
from flows.recipe.loading import load_recipe

recipe = load_recipe(sys.argv[1]).model_dump(mode="json")
crawl_to_corpus.serve("scheduled", interval=20, parameters={"recipe": recipe, "settings": {"store": sys.argv[2]}})
"""


@pytest.mark.slow
def test_a_schedule_fires(tiny_recipe: Path, tmp_path: Path) -> None:
    port = free_port()
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
