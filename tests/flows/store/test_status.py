"""What a store says of its latest run, while it runs too, and of stages that it has not come to."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.store.datasets import summary_of_part
from flows.store.run_record import Recorder, state_after
from flows.store.status import running_lines, store_status
from flows.store.why import explain_stage
from tasks.base.errors import PermanentError
from tasks.dataset.store import Store
from tasks.workers.process_name import this_process
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


@pytest.mark.parametrize(
    ("ended", "run", "stage"),
    [
        (None, "running", "running"),
        (KeyboardInterrupt(), "cancelled", "cancelled"),
        (RuntimeError("ended"), "failed", "failed"),
        ("killed", "interrupted", "interrupted"),
    ],
)
def test_a_stage_that_is_not_done_says_how_far_it_is(recorder: Recorder, ended: Any, run: str, stage: str) -> None:
    """One of two parts is there, which this run built in two minutes."""
    store = Store(recorder.record.settings["store"])
    store.remove(f"{recorder.record.stages['filter'].plan.folder}/part-00001.parquet")
    began = (datetime.now(UTC) - timedelta(seconds=120)).isoformat()
    recorder.stage("filter", state="running", began=began, parts_found=0, parts_expected=2)
    if ended == "killed":
        with subprocess.Popen(["true"]) as gone:
            gone.wait()
        process = this_process().model_copy(update={"pid": gone.pid})
        killed = recorder.record.model_copy(update={"process": process})
        store.write_bytes(f"runs/{killed.run}.json", killed.model_dump_json().encode())
    elif ended:
        recorder.stage("filter", state=state_after(ended))
        recorder.finish(ended)
    status = store_status(store)
    (filtering,) = (one for one in status.stages if one.name == "filter")
    assert (status.state, filtering.state, filtering.parts_done) == (run, stage, 1)
    assert filtering.bytes > 0
    left = ", 2 min 00 s left" if stage == "running" else ""
    assert running_lines(status)[0] == f"filter: {stage}, 1 of 2{left}"


@pytest.mark.parametrize("began", ["2999-01-01T00:00:00+00:00", "2026-01-01T00:00:00", "today", "9" * 5000])
def test_a_clock_set_back_or_no_time_at_all_leaves_the_time_left_unsaid(recorder: Recorder, began: str) -> None:
    store = Store(recorder.record.settings["store"])
    store.remove(f"{recorder.record.stages['filter'].plan.folder}/part-00001.parquet")
    recorder.stage("filter", state="running", began=began, parts_found=0, parts_expected=2)
    assert running_lines(store_status(store))[0] == "filter: running, 1 of 2"


def test_a_training_that_runs_says_its_step_its_bytes_and_the_time_left(recorder: Recorder) -> None:
    store, plan = Store(recorder.record.settings["store"]), recorder.record.stages["pretrain"].plan
    event = {"event": "step", "step": 16, "tokens": 16_000, "loss": 2.9, "tokens_per_second": 1000.0}
    log = (json.dumps(event) + "\n").encode()
    store.write_bytes(f"models/tiny-pretrain-{plan.fingerprint[:8]}/metrics.jsonl", log)
    recorder.stage("pretrain", state="running")
    status = store_status(store)
    assert "pretrain: running, step 16 of 60, loss 2.900, 44.0 s left" in running_lines(status)
    (pretrain,) = (one for one in status.stages if one.name == "pretrain")
    assert pretrain.bytes == len(log)


def test_a_stage_that_has_not_run_is_not_said_to_have_run(recorder: Recorder, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    assert "sft has not run: the run" in explain_stage(store, "sft").words
    assert "has not come to it yet" in explain_stage(store, "sft").words
    recorder.finish(RuntimeError("ended"))
    assert "failed before it" in explain_stage(store, "sft").words
    assert "ran because it had never run" in explain_stage(store, "corpus").words


@pytest.mark.parametrize("content", [b"{", b"[" * 200_000, b'{"stages":' * 200_000, b"[]", b"\xff"])
def test_a_damaged_record_is_named(recorder: Recorder, tmp_path: Path, content: bytes) -> None:
    store = Store(str(tmp_path / "store"))
    (name,) = store.names("runs")
    store.write_bytes(f"runs/{name}", content)
    with pytest.raises(PermanentError, match=rf"The run record .*{name} is damaged"):
        store_status(store)


@pytest.mark.parametrize("summary", ["[" * 200_000, "[]", "3", None, ""])
def test_a_summary_that_is_none_is_named(tmp_path: Path, summary: str | None) -> None:
    pq.write_table(pa.table({"summary": pa.array([summary], pa.string())}), tmp_path / "part-00000.parquet")
    with pytest.raises(PermanentError, match=r"The summary in .*part-00000\.parquet cannot be read"):
        summary_of_part(Store(str(tmp_path)), "part-00000.parquet")
