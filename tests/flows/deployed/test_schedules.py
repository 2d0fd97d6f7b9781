"""watch-crawls with a schedule: the server makes its runs, they start, and do what is new; on the locked versions."""

import sys
from pathlib import Path

import httpx
import pytest

from flows.server.loopback_server import ServerAddress
from flows.store.run_record import newest_runs
from tasks.dataset.store import Store
from tests.conftest import sluice_environment
from tests.flows.crawl_mirror import RECIPE, publish
from tests.flows.running_programs import free_port, running, wait_until

SERVE = """
import sys
from flows.watch import watch_crawls

parameters = {"recipe": sys.argv[1], "settings": {"store": sys.argv[2], "workers": 1}}
watch_crawls.serve("scheduled", interval=20, parameters=parameters)
"""


@pytest.mark.slow
def test_a_schedule_fires_and_each_new_crawl_is_carried_out(tmp_path: Path) -> None:
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    environment = sluice_environment(api) | {"PREFECT_HOME": str(tmp_path), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    server = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    (tmp_path / "watched.yaml").write_text(RECIPE.replace("BASE", str(tmp_path / "mirror")))
    serve = [sys.executable, "-c", SERVE, str(tmp_path / "watched.yaml"), str(tmp_path / "store")]
    started = {"flow_runs": {"start_time": {"is_null_": False}}, "flows": {"name": {"any_": ["watch-crawls"]}}}

    completed = {
        "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
        "flows": {"name": {"any_": ["crawl-to-chat"]}},
    }

    def crawled() -> list[str]:
        """The crawls on which a run completed, in order."""
        records = newest_runs(Store(str(tmp_path / "store")))
        return [record.crawl for record in records if record.state == "completed"][::-1]

    publish(tmp_path / "mirror", "CC-MAIN-2026-46")
    with (
        ServerAddress(api, api).client() as client,
        running(server, environment, tmp_path / "server.log"),
    ):
        wait_until(lambda: httpx.get(f"{api}/health", trust_env=False).is_success, tmp_path)
        with running(serve, environment, tmp_path / "serve.log"):
            wait_until(lambda: crawled() == ["CC-MAIN-2026-46"], tmp_path)
            publish(tmp_path / "mirror", "CC-MAIN-2026-51")
            # A record says completed before the report is written, and ending `serve` amid that makes it cancelled.
            wait_until(lambda: len(client.post("/flow_runs/filter", json=completed).json()) > 1, tmp_path)
            runs = client.post("/flow_runs/filter", json=started).json()
    assert crawled() == ["CC-MAIN-2026-46", "CC-MAIN-2026-51"]
    assert len(runs) >= 2
    assert all(run["auto_scheduled"] for run in runs)
