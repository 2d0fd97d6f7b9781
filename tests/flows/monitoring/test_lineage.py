"""OpenLineage's events as a receiver gets them, by OpenLineage's own configuration."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from flows.monitoring.lineage import lineage_observers
from flows.monitoring.observer import Observer
from flows.store.run_record import RunRecord
from tasks.dataset.manifest import read_manifest
from tasks.dataset.store import Store
from tests.conftest import run_sluice
from tests.flows.run_records import a_manifest, a_record, with_stage
from tests.flows.running_programs import json_receiver

pytest.importorskip("openlineage.client")
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState


@pytest.fixture(autouse=True)
def unconfigured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home and a current folder without OpenLineage's configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE")]:  # its client sets some
        monkeypatch.delenv(name)


def tell(observer: Observer, state: str, error: str | None = None) -> RunRecord:
    """A run whose filter ends in a state, as the run does; its corpus is there already."""
    record = a_record("tiny", "corpus", "pretrain", store="s3://bucket/store")
    manifests = {"corpus": a_manifest(record, "corpus")}
    observer.run_began(record)
    observer.stage_began(with_stage(record, "pretrain", state="running"), "pretrain", manifests)
    if state == "completed":
        manifests["pretrain"] = a_manifest(record, "pretrain", rows=1)
    summary = {"model": "models/tiny-pretrain-1a2b3c4d"} if state == "completed" else {}
    ended = "done" if state == "completed" else state
    record = with_stage(record, "pretrain", state=ended, summary=summary)
    observer.stage_ended(record, "pretrain", manifests)
    observer.run_ended(record.model_copy(update={"state": state, "error": error}))
    return record


def parsed(event: dict[str, Any]) -> RunEvent:
    """The event, checked by OpenLineage's own classes."""
    return RunEvent(
        eventTime=event["eventTime"],
        producer=event["producer"],
        eventType=RunState[event["eventType"]],
        run=Run(**event["run"]),
        job=Job(**event["job"]),
        inputs=[InputDataset(**one) for one in event["inputs"]],
        outputs=[OutputDataset(**one) for one in event["outputs"]],
    )


@pytest.mark.parametrize(("state", "last"), [("completed", "COMPLETE"), ("failed", "FAIL"), ("cancelled", "ABORT")])
def test_a_receiver_gets_a_run_and_its_stages(monkeypatch: pytest.MonkeyPatch, state: str, last: str) -> None:
    with json_receiver() as (url, received):
        monkeypatch.setenv("OPENLINEAGE_URL", url)
        [observer] = lineage_observers()
        tell(observer, state, "it broke" if state == "failed" else None)
    events = [parsed(event) for event in received]
    flow, stage = "tiny.crawl-to-chat", "tiny.crawl-to-chat.pretrain"
    assert [(event.job.name, event.eventType.name) for event in events if event.eventType] == [
        *((flow, "START"), (stage, "START"), (stage, last), (flow, last))
    ]
    assert events[0].run.runId == events[3].run.runId != events[1].run.runId == events[2].run.runId
    assert received[1]["run"]["facets"]["parent"]["run"]["runId"] == events[0].run.runId
    corpus = received[2]["inputs"][0]
    assert (corpus["namespace"], corpus["name"]) == ("s3://bucket", "store/datasets/corpus/corpus0123456789")
    assert corpus["facets"]["version"]["datasetVersion"] == "digest of corpus"
    assert corpus["inputFacets"]["inputStatistics"]["rowCount"] == 3
    if state == "completed":
        dataset, model = received[2]["outputs"]
        assert dataset["name"] == "store/datasets/pretrain/pretrain0123456789"
        assert dataset["facets"]["version"]["datasetVersion"] == "digest of pretrain"
        assert dataset["outputFacets"]["outputStatistics"]["rowCount"] == 1
        assert model["name"] == "store/models/tiny-pretrain-1a2b3c4d"
    else:
        assert received[2]["outputs"] == []
    said = received[3]["run"].get("facets", {}).get("errorMessage", {}).get("message")
    assert said == ("it broke" if state == "failed" else None)


def test_a_file_can_take_the_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = "transport: {type: file, log_file_path: EVENTS, append: true}"
    (tmp_path / "openlineage.yml").write_text(config.replace("EVENTS", str(tmp_path / "events.jsonl")))
    [observer] = lineage_observers()
    tell(observer, "completed")
    kinds = [json.loads(line)["eventType"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert kinds == ["START", "START", "COMPLETE", "COMPLETE"]


def test_a_crawl_is_what_the_first_stage_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with json_receiver() as (url, received):
        monkeypatch.setenv("OPENLINEAGE_URL", url)
        [observer] = lineage_observers()
        record = a_record("tiny", "fetch")
        observer.stage_began(record, "fetch", {})
        observer.run_ended(record.model_copy(update={"state": "completed"}))
    [crawl] = received[0]["inputs"]
    assert (crawl["namespace"], crawl["name"]) == ("https://data.commoncrawl.org", "crawl-data/CC-MAIN-2026-47")


def test_a_receiver_that_is_away_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:9")
    [observer] = lineage_observers()
    tell(observer, "completed")


def test_without_configuration_there_is_none() -> None:
    assert lineage_observers() == []


@pytest.mark.slow
def test_a_receiver_gets_a_real_run(
    prefect_server: str, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each stage reads what those before it wrote: the same places, and the same digests."""
    with json_receiver() as (url, received):
        monkeypatch.setenv("OPENLINEAGE_URL", url)
        run_sluice(prefect_server, "corpus", str(tiny_recipe), "--store", str(tmp_path / "store"))
    events = [parsed(event) for event in received]
    ended = [event for event in received if event["eventType"] == "COMPLETE"]
    assert events[0].job.name == ended[-1]["job"]["name"] == "tiny.corpus"
    assert len(events) == 2 * len(ended), "each job that started is complete"
    record = json.loads(next((tmp_path / "store" / "runs").iterdir()).read_text())
    assert {event["job"]["name"] for event in ended[:-1]} == {
        f"tiny.corpus.{name}" for name, stage in record["stages"].items() if stage["state"] == "done"
    }
    written = {one["name"]: one["facets"]["version"] for event in ended for one in event["outputs"]}
    for name, stage in record["stages"].items():
        if stage["state"] == "done":
            folder = tmp_path / "store" / "datasets" / name / stage["plan"]["fingerprint"]
            manifest = read_manifest(Store(str(tmp_path / "store")), name, stage["plan"]["fingerprint"])
            assert manifest and written[str(folder)]["datasetVersion"] == manifest.digest
    read = [one for event in ended for one in event["inputs"] if "version" in one.get("facets", {})]
    assert len(read) > len(written)
    assert all(one["facets"]["version"] == written[one["name"]] for one in read)
