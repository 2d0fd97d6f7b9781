"""What a store says of its latest run, while it runs too, and of stages that it has not come to."""

from pathlib import Path

import pytest

from flows.store.run_record import Recorder
from flows.store.status import store_status
from flows.store.why import explain_stage
from tasks.dataset.store import Store
from tests.flows.report_stores import synthetic_web_run


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return synthetic_web_run(tmp_path / "store")


def test_the_stage_that_runs_now_is_named(recorder: Recorder, tmp_path: Path) -> None:
    recorder.stage("pretrain", state="running")
    states = {stage.name: stage.state for stage in store_status(Store(str(tmp_path / "store"))).stages}
    assert (states["corpus"], states["pretrain"], states["sft"]) == ("done", "running", "missing")
    recorder.finish(RuntimeError("ended"))
    states = {stage.name: stage.state for stage in store_status(Store(str(tmp_path / "store"))).stages}
    assert states["pretrain"] == "missing"


def test_the_bytes_of_fetch_are_those_of_the_warcs(recorder: Recorder, tmp_path: Path) -> None:
    (fetch,) = (stage for stage in store_status(Store(str(tmp_path / "store"))).stages if stage.name == "fetch")
    assert fetch.bytes == sum(file.stat().st_size for file in (tmp_path / "store").rglob("*.warc.gz"))


def test_a_stage_that_has_not_run_is_not_said_to_have_run(recorder: Recorder, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    assert "sft has not run: the run" in explain_stage(store, "sft").words
    assert "has not come to it yet" in explain_stage(store, "sft").words
    recorder.finish(RuntimeError("ended"))
    assert "failed before it" in explain_stage(store, "sft").words
    assert "ran because it had never run" in explain_stage(store, "corpus").words
