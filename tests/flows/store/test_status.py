"""What a store says of its latest run, while it runs too, and of stages that it has not come to."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.store.datasets import summary_of_part
from flows.store.run_record import Recorder
from flows.store.status import store_status
from flows.store.why import explain_stage
from tasks.base.errors import PermanentError
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
