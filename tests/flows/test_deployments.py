"""prefect.yaml: deployed as it stands, carried out by a process worker, its recipe checked by the server."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.conftest import ROOT, sluice_environment, stage_statuses


@pytest.fixture(scope="module")
def deployed(prefect_server: str) -> str:
    """The API address of a server that has the deployments and their work pool."""
    prefect(prefect_server, "work-pool", "create", "sluice", "--type", "process", "--overwrite")
    prefect(prefect_server, "deploy", "--all", "--no-prompt")
    return prefect_server


def prefect(server: str, *arguments: str, expect: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments],
        cwd=ROOT,
        env=sluice_environment(server),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def parameters(recipe: Any, store: Path) -> list[str]:
    given = {"recipe": recipe, "settings": {"store": str(store), "workers": 2}}
    return [word for name, value in given.items() for word in ("--param", f"{name}={json.dumps(value)}")]


def test_each_flow_has_a_deployment_whose_parameters_are_a_schema(deployed: str) -> None:
    found = httpx.post(f"{deployed}/deployments/filter", json={}).json()
    assert {item["entrypoint"].rsplit(":", 1)[1] for item in found} == {
        "crawl_to_corpus",
        "pretrain",
        "finetune",
        "crawl_to_chat",
    }
    for item in found:
        assert item["enforce_parameter_schema"]
        assert "filter" in item["parameter_openapi_schema"]["definitions"]["Recipe"]["properties"]


def test_a_worker_carries_a_deployment_out(deployed: str, tiny_recipe: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    recipe = yaml.safe_load(tiny_recipe.read_text())
    prefect(deployed, "deployment", "run", "crawl_to_corpus/default", *parameters(recipe, store))
    prefect(deployed, "worker", "start", "--pool", "sluice", "--run-once")
    assert stage_statuses(deployed, store)["packing"]["state"] == "done"
    runs = httpx.post(f"{deployed}/flow_runs/filter", json={"flows": {"name": {"any_": ["crawl_to_corpus"]}}}).json()
    assert "COMPLETED" in {run["state"]["type"] for run in runs}
    assert "tiny: CC-MAIN-2026-45 to corpus" in {run["name"] for run in runs}


def test_a_wrong_recipe_is_refused_before_it_runs(deployed: str, tmp_path: Path) -> None:
    wrong = {"name": "wrong", "filter": {"min_language_score": 7}}
    said = prefect(deployed, "deployment", "run", "crawl_to_corpus/default", *parameters(wrong, tmp_path), expect=1)
    assert "min_language_score" in said
