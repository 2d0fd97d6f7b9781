"""prefect.yaml: deployed as it stands, carried out by a process worker, its recipe checked by the server."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.blocks.notifications import CustomWebhookNotificationBlock

from tests.conftest import ROOT, api_client, sluice_environment, stage_statuses

DEPLOYMENTS = {
    "corpus/corpus",
    "pretrain/pretrain",
    "finetune/finetune",
    "ladder/ladder",
    "tune/tune",
    "crawl-to-chat/crawl-to-chat",
    "crawl-to-chat/demo",
    "crawl-to-chat/default",
    "watch-crawls/watch-crawls",
}


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


def parameters(recipe: Any, store: Path | None) -> list[str]:
    """The options of `prefect deployment run` for a recipe and, where there is none in a variable, a store."""
    settings = {"store": str(store), "workers": 2} if store else {"workers": 2}
    given = {"recipe": recipe, "settings": settings}
    return [word for name, value in given.items() for word in ("--param", f"{name}={json.dumps(value)}")]


def found(server: str, what: str, **query: Any) -> list[Any]:
    with api_client(server) as client:
        entries: list[Any] = client.post(f"/{what}/filter", json=query).json()
    return entries


def runs_of(server: str, deployment: str) -> list[Any]:
    """The runs of a deployment that have begun, newest first: other tests put theirs off."""
    begun = {"start_time": {"is_null_": False}}
    query = {"flow_runs": begun, "deployments": {"name": {"any_": [deployment]}}}
    return found(server, "flow_runs", **query, sort="START_TIME_DESC")


def test_each_deployment_has_a_name_of_its_own_and_waits_for_its_turn(deployed: str) -> None:
    flows = {flow["id"]: flow["name"] for flow in found(deployed, "flows")}
    deployments = {f"{flows[item['flow_id']]}/{item['name']}": item for item in found(deployed, "deployments")}
    assert deployments.keys() == DEPLOYMENTS
    for item in deployments.values():
        assert item["global_concurrency_limit"]["limit"] == 1
        assert item["concurrency_options"]["collision_strategy"] == "ENQUEUE"
        assert "sluice" in item["tags"]


def test_each_flow_has_a_deployment_whose_parameters_are_a_schema(deployed: str) -> None:
    deployments = found(deployed, "deployments")
    assert {item["entrypoint"].rsplit(":", 1)[1] for item in deployments} == {
        "crawl_to_corpus",
        "pretrain",
        "finetune",
        "ladder",
        "tune",
        "crawl_to_chat",
        "watch_crawls",
    }
    for item in deployments:
        assert item["enforce_parameter_schema"]
        assert "filter" in item["parameter_openapi_schema"]["definitions"]["Recipe"]["properties"]


def test_nothing_of_the_deploying_machine_is_in_a_deployment(deployed: str) -> None:
    """The worker's own cores and the store of the user's choice count, not those of the machine that deployed."""
    for item in found(deployed, "deployments"):
        settings = item["parameter_openapi_schema"]["definitions"]["RunSettings"]
        assert item["parameters"]["settings"] == {}
        assert "default" not in item["parameter_openapi_schema"]["properties"]["settings"]
        assert "default" not in settings["properties"]["workers"]
        assert "default" not in settings["properties"]["store"]
        assert "required" not in settings


def test_a_worker_carries_a_deployment_out(deployed: str, tiny_recipe: Path, tmp_path: Path) -> None:
    """An object as the recipe, a store that is given; and a file as the recipe, the store of the Prefect variable."""
    prefect(deployed, "variable", "set", "--overwrite", "sluice_store", str(tmp_path / "variable"))
    given, recipe = tmp_path / "given", yaml.safe_load(tiny_recipe.read_text())
    over_demo = {"recipe": "demo", "set": recipe | {"name": "over", "pretrain": None, "sft": None, "preference": None}}
    prefect(deployed, "deployment", "run", "corpus/corpus", *parameters(recipe, given))
    prefect(deployed, "deployment", "run", "crawl-to-chat/default", *parameters(over_demo, None))
    prefect(deployed, "worker", "start", "--pool", "sluice", "--run-once")
    assert stage_statuses(deployed, given)["packing"]["state"] == "done"
    assert stage_statuses(deployed, tmp_path / "variable")["packing"]["state"] == "done"
    for deployment, name in (
        ("corpus", "tiny: CC-MAIN-2026-45 to corpus"),
        ("default", "over: CC-MAIN-2026-45 to chat"),
    ):
        [run] = runs_of(deployed, deployment)
        assert run["state"]["type"] == "COMPLETED"
        assert run["name"].startswith(name)


def test_a_run_shows_its_funnel_reasons_and_report_as_artifacts(
    deployed: str, tiny_recipe: Path, tmp_path: Path
) -> None:
    recipe = yaml.safe_load(tiny_recipe.read_text()) | {"name": "shown", "pretrain": None, "sft": None}
    del recipe["evaluate"]
    prefect(deployed, "deployment", "run", "corpus/corpus", *parameters(recipe, tmp_path / "store"))
    prefect(deployed, "worker", "start", "--pool", "sluice", "--run-once")
    run = runs_of(deployed, "corpus")[0]
    artifacts = found(deployed, "artifacts", artifacts={"flow_run_id": {"any_": [run["id"]]}})
    shown = {artifact["key"]: artifact["data"] for artifact in artifacts if artifact["type"] != "progress"}
    assert shown.keys() == {"funnel-shown", "reasons-shown", "report-shown", "samples-shown", "signals-filter-shown"}
    assert shown["signals-filter-shown"].startswith("![signals-filter](data:image/svg+xml;base64,")
    [report] = (tmp_path / "store" / "reports").iterdir()
    assert shown["report-shown"] == f"`{report}`, completed"
    stages = json.loads(shown["funnel-shown"])
    assert [stage["stage"] for stage in stages] == ["extract", "filter", "corpus", "tokens"]
    assert all(stage["read"] - stage["removed"] == stage["kept"] for stage in stages[:-1])
    reasons = json.loads(shown["reasons-shown"])
    assert {"stage", "reason", "records"} == reasons[0].keys() and len(reasons) > 3


def test_the_example_automation_notifies_of_failed_runs(deployed: str, tmp_path: Path) -> None:
    webhook = CustomWebhookNotificationBlock(name="failed", url="http://127.0.0.1:9/failed", headers={}, cookies={})
    block = str(webhook.save("failed", overwrite=True))
    example = (ROOT / "infra" / "prefect" / "notify-on-failure.yaml").read_text()
    (tmp_path / "automation.yaml").write_text(example.replace("BLOCK_ID", block))
    prefect(deployed, "automation", "create", "--from-file", str(tmp_path / "automation.yaml"))
    [automation] = [item for item in found(deployed, "automations") if item["name"] == "sluice-failed"]
    assert set(automation["trigger"]["expect"]) == {"prefect.flow-run.Failed", "prefect.flow-run.Crashed"}
    assert automation["actions"][0]["block_document_id"] == block


def test_a_wrong_recipe_is_refused_before_it_runs(deployed: str, tmp_path: Path) -> None:
    wrong = {"name": "wrong", "filter": {"min_language_score": 7}}
    said = prefect(deployed, "deployment", "run", "corpus/corpus", *parameters(wrong, tmp_path), expect=1)
    assert "recipe.filter.min_language_score" in said and "7 is greater than the maximum of 1" in said
    said = prefect(deployed, "deployment", "run", "crawl-to-chat/default", "--param", "recipe=dmeo", expect=1)
    assert "'dmeo' does not match" in said
    relative = ["--param", 'settings={"store": "./store"}']
    said = prefect(deployed, "deployment", "run", "crawl-to-chat/demo", *relative, expect=1)
    assert "'./store' does not match" in said


def test_what_the_server_cannot_see_is_refused_where_the_flow_starts(deployed: str, tmp_path: Path) -> None:
    across = {"recipe": "demo", "set": {"pretrain": None}}
    no_model = {"recipe": "demo", "set": {"pretrain": None, "sft": None, "preference": None}}
    no_file = {"recipe": "demo", "set": {"evaluate.questions": "/nowhere/questions.jsonl"}}
    prefect(deployed, "deployment", "run", "crawl-to-chat/crawl-to-chat", *parameters(across, tmp_path / "store"))
    prefect(deployed, "deployment", "run", "pretrain/pretrain", *parameters(no_model, tmp_path / "store"))
    prefect(deployed, "deployment", "run", "crawl-to-chat/demo", *parameters(no_file, tmp_path / "store"))
    prefect(deployed, "worker", "start", "--pool", "sluice", "--run-once")
    for deployment, message in (
        ("crawl-to-chat", "sft needs a pretrain section"),
        ("pretrain", "has no section 'pretrain'"),
        ("demo", "evaluate.questions: there is no file /nowhere/questions.jsonl"),
    ):
        [run] = runs_of(deployed, deployment)
        assert run["state"]["type"] == "FAILED"
        assert message in run["state"]["message"]
    assert not (tmp_path / "store").exists()
