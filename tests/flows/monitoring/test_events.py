"""The events of stages and models, read back from a real server."""

from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from flows.monitoring.events import Events
from tests.conftest import api_client
from tests.flows.run_records import a_manifest, a_record, with_stage
from tests.flows.running_programs import wait_until


def test_a_stage_and_a_model_that_are_done_give_their_events(prefect_server: str, tmp_path: Any) -> None:
    record = a_record("tiny", "filter", "pretrain")
    done = with_stage(record, "filter", state="done", parts_built=2, seconds=1.5)
    summary = {"model": "models/tiny-pretrain-1a2b3c4d", "steps": 12, "last_loss": 4.5}
    trained = with_stage(done, "pretrain", state="done", parts_built=1, summary=summary)
    manifests = {
        "filter": a_manifest(record, "filter", read=5, kept=3),
        "pretrain": a_manifest(record, "pretrain", rows=1),
    }

    @flow(name="emits-events")
    def emits() -> str:
        events = Events()
        events.stage_ended(with_stage(record, "filter", state="failed"), "filter", {})
        events.stage_ended(done, "filter", manifests)
        events.stage_ended(trained, "pretrain", manifests)
        events.stage_ended(with_stage(trained, "pretrain", parts_built=0), "pretrain", manifests)
        return str(flow_run.get_id())

    identity = emits()
    with api_client(prefect_server) as client:

        def received() -> list[dict[str, Any]]:
            about = {"prefix": ["sluice."]}
            query = {"filter": {"event": about, "related": {"id": [f"prefect.flow-run.{identity}"]}}, "limit": 50}
            found: list[dict[str, Any]] = client.post("/events/filter", json=query).raise_for_status().json()["events"]
            return found if len(found) >= 4 else []

        events = {
            (event["event"], event["resource"]["prefect.resource.id"]): event
            for event in wait_until(received, tmp_path)
        }
    assert sorted(events) == [
        ("sluice.model.done", "sluice.model.tiny-pretrain-1a2b3c4d"),
        ("sluice.stage.done", "sluice.dataset.filter.filter0123456789"),
        ("sluice.stage.done", "sluice.dataset.pretrain.pretrain0123456789"),
    ]
    stage = events["sluice.stage.done", "sluice.dataset.filter.filter0123456789"]["payload"]
    assert stage == {
        **{"run": record.run, "recipe": "tiny", "crawl": "CC-MAIN-2026-47", "stage": "filter"},
        **{"fingerprint": "filter0123456789", "path": "datasets/filter/filter0123456789", "digest": "digest of filter"},
        **{"rows": 3, "bytes": 100, "parts": 2, "parts_built": 2, "seconds": 1.5, "counters": {"read": 5, "kept": 3}},
    }
    model = events["sluice.model.done", "sluice.model.tiny-pretrain-1a2b3c4d"]["payload"]
    assert (model["path"], model["summary"]) == (summary["model"], summary)
