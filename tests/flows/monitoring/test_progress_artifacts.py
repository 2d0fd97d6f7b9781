"""The progress of a long stage in Prefect's UI: one artifact, updated in place, with rate and time left."""

import pytest
from prefect import flow, get_client
from prefect.runtime import flow_run

from flows.monitoring import progress_artifacts
from flows.monitoring.progress_artifacts import ProgressArtifacts
from flows.store.training_log import TrainingStep
from tests.flows.run_records import a_record


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


Told = tuple[float, int] | tuple[float, TrainingStep]


def shown_after(monkeypatch: pytest.MonkeyPatch, *told: Told) -> list[tuple[str, float, str]]:
    """Key, percent and words of a flow's artifacts at its end, after (seconds, parts done of 10, or a training's step).

    The training is planned to have 300 steps.
    """
    clock = Clock()
    monkeypatch.setattr(progress_artifacts, "time", clock)
    record = a_record("Tiny_1")

    @flow(name="shows-progress")
    def shows() -> str:
        artifacts = ProgressArtifacts()
        for seconds, what in told:
            clock.now = 100 + seconds
            if isinstance(what, TrainingStep):
                artifacts.trained(record, "pretrain", what, 300)
            else:
                artifacts.parts_done(record, "extract", what, 10)
        return str(flow_run.get_id())

    identity = shows()
    with get_client(sync_client=True) as client:
        artifacts = client._client.post(
            "/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [identity]}}}
        ).json()
    return [(artifact["key"], artifact["data"], artifact["description"]) for artifact in artifacts]


def test_it_is_updated_in_place(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "progress-extract-tiny-1"
    assert shown_after(monkeypatch, (0, 2), (30, 4), (60, 6)) == [
        (key, 60.0, "extract: 6 of 10, 4 a minute, 1 min 00 s left")
    ]
    assert shown_after(monkeypatch, (0, 0), (30, 4), (31, 10)) == [(key, 100.0, "extract: 10 of 10, 19.4 a minute")]


def test_a_stage_of_seconds_has_none_and_a_fast_one_few(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown_after(monkeypatch, (0, 0), (1, 5), (2, 10)) == []
    assert shown_after(monkeypatch, (0, 0), (6, 3), (7, 4), (8, 5)) == [
        ("progress-extract-tiny-1", 30.0, "extract: 3 of 10, 30 a minute, 14.0 s left")
    ]


def test_a_training_shows_its_loss_its_speed_and_the_time_left(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, later = TrainingStep(10, 10_000, 5.5, 1000.0), TrainingStep(30, 30_000, 4.25, 1000.0, 0.412)
    assert shown_after(monkeypatch, (0, early), (11, early), (15, later), (22, later)) == [
        (
            "training-pretrain-tiny-1",
            10.0,
            "pretrain: step 30 of 300, loss 4.250, tokens 30k, tokens/s 1k, MFU 41%, left 4 min 30 s",
        )
    ]
