"""The progress of a long stage in Prefect's UI: one artifact, updated in place, with rate and time left."""

import pytest
from prefect import flow, get_client
from prefect.runtime import flow_run

from flows.engine import progress_artifact
from flows.engine.progress_artifact import ProgressArtifact


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def shown_after(monkeypatch: pytest.MonkeyPatch, *steps: tuple[float, int]) -> list[tuple[float, str]]:
    """What the artifacts of a flow say at its end, after (seconds, parts done of 10)."""
    clock = Clock()
    monkeypatch.setattr(progress_artifact, "time", clock)

    @flow(name="shows-progress")
    def shows() -> str:
        progress = ProgressArtifact("extract")
        for seconds, done in steps:
            clock.now = 100 + seconds
            progress.show(done, 10)
        return str(flow_run.get_id())

    identity = shows()
    with get_client(sync_client=True) as client:
        artifacts = client._client.post(
            "/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [identity]}}}
        ).json()
    return [(artifact["data"], artifact["description"]) for artifact in artifacts]


def test_it_is_updated_in_place(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown_after(monkeypatch, (0, 2), (30, 4), (60, 6)) == [
        (60.0, "extract: 6 of 10, 4 a minute, 1 min 00 s left")
    ]
    assert shown_after(monkeypatch, (0, 0), (30, 4), (31, 10)) == [(100.0, "extract: 10 of 10, 19.4 a minute")]


def test_a_stage_of_seconds_has_none_and_a_fast_one_few(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown_after(monkeypatch, (0, 0), (1, 5), (2, 10)) == []
    assert shown_after(monkeypatch, (0, 0), (6, 3), (7, 4), (8, 5)) == [
        (30.0, "extract: 3 of 10, 30 a minute, 14.0 s left")
    ]
