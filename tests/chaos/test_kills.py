"""kill -9 in the middle: what was finished stays, nothing is orphaned, and the next run ends where it would have."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tasks.dataset.store import Store
from tasks.registry import STAGES as DATA_STAGES
from tests.conftest import Sluice, dataset_bytes, run_sluice, sluice_command, sluice_environment


def start(prefect_server: str, *arguments: str) -> subprocess.Popen[bytes]:
    """`sluice` in the background, in a process group of its own."""
    return subprocess.Popen(
        sluice_command(*arguments),
        env=sluice_environment(prefect_server),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill_when(process: subprocess.Popen[bytes], ready: Callable[[], bool], signal_number: int = signal.SIGKILL) -> None:
    """Wait until `ready`, then send the signal to the flow's process alone, and see that all it started goes too."""
    deadline = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline, "the moment to kill never came"
        time.sleep(0.02)
    started = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal_number)
    process.wait(timeout=60)
    deadline = time.monotonic() + 30
    while alive := [child for child in started if is_alive(child)]:
        assert time.monotonic() < deadline, f"orphans: {alive}"
        time.sleep(0.1)


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs; one that only waits to be buried does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def losses(store: Path, steps: int) -> dict[int, float]:
    """Loss by step of the one model that was trained for so many steps."""
    for log in (store / "models").glob("*/metrics.jsonl"):
        events: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]
        found = [(event["step"], event["loss"]) for event in events if event["event"] == "step"]
        if found[-1][0] == steps:
            assert [step for step, _ in found] == list(range(1, steps + 1))
            return dict(found)
    raise AssertionError(f"no model was trained for {steps} steps")


def test_killed_during_extraction(
    prefect_server: str, sluice: Sluice, finished_store: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    arguments = ("corpus", str(tiny_recipe), "--store", str(store), "--workers", "1")
    extracted = store / "datasets" / "extract"
    kill_when(start(prefect_server, *arguments), lambda: any(extracted.rglob("part-*.parquet")))
    left = {path: path.stat().st_mtime_ns for path in extracted.rglob("part-*.parquet")}
    assert 1 <= len(left) < 3, "the kill came too late to show anything"
    sluice(*arguments)
    assert {path: path.stat().st_mtime_ns for path in left} == left
    assert dataset_bytes(store, *DATA_STAGES) == dataset_bytes(finished_store, *DATA_STAGES)


LONGER = ["--set", "pretrain.loop.steps=300", "--set", "pretrain.loop.checkpoint_every=50", "--set", "sft=null"]
"""So many steps that there is time to kill between the first checkpoint and the end."""


@pytest.fixture(scope="module")
def undisturbed(
    prefect_server: str, finished_store: Path, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, float]:
    """The losses of a longer pretraining that nothing interrupts."""
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    shutil.copytree(finished_store, store)
    run_sluice(prefect_server, "pretrain", str(tiny_recipe), "--store", str(store), *LONGER)
    return losses(store, 300)


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "cancelled"])
def test_ended_during_pretraining(
    prefect_server: str,
    sluice: Sluice,
    finished_store: Path,
    tiny_recipe: Path,
    tmp_path: Path,
    undisturbed: dict[int, float],
    signal_number: signal.Signals,
) -> None:
    """Training goes on from the checkpoint, and every loss is the one of the run that nothing disturbed."""
    store = tmp_path / "store"
    shutil.copytree(finished_store, store)
    known = {path.parent for path in (store / "models").glob("*/metrics.jsonl")}
    arguments = ("pretrain", str(tiny_recipe), "--store", str(store), *LONGER)

    def has_checkpoint() -> bool:
        found = (store / "models").glob("*/checkpoints/step-*/digests.json")
        return any(path.parents[2] not in known for path in found)

    kill_when(start(prefect_server, *arguments), has_checkpoint, signal_number)
    (model,) = {path.parent for path in (store / "models").glob("*/metrics.jsonl")} - known
    assert len((model / "metrics.jsonl").read_text().splitlines()) < 300
    sluice(*arguments)
    assert '"event": "resume"' in (model / "metrics.jsonl").read_text()
    assert losses(store, 300) == undisturbed


@pytest.mark.slow
def test_a_machine_is_lost_during_pretraining(
    prefect_server: str,
    sluice: Sluice,
    finished_store: Path,
    tiny_recipe: Path,
    s3_bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the store in a bucket, another machine goes on from the newest checkpoint that was sent there."""
    store = Store(s3_bucket)
    store.fs.put(str(finished_store / "datasets"), store.full("datasets"), recursive=True)
    store.fs.put(str(finished_store / "tokenizers"), store.full("tokenizers"), recursive=True)
    steps = 1000
    arguments = ("pretrain", str(tiny_recipe), "--store", s3_bucket, *LONGER)
    arguments += ("--set", f"pretrain.loop.steps={steps}")

    def sent() -> list[str]:
        found = [f"models/{model}/checkpoints" for model in store.names("models")]
        return [path for path in found for name in store.names(path) if store.exists(f"{path}/{name}/digests.json")]

    for machine in ("lost", "fresh"):
        (tmp_path / machine).mkdir()
    monkeypatch.chdir(tmp_path / "lost")
    kill_when(start(prefect_server, *arguments), lambda: bool(sent()))
    shutil.rmtree(tmp_path / "lost" / ".sluice-scratch")
    monkeypatch.chdir(tmp_path / "fresh")
    sluice(*arguments)
    (log,) = (tmp_path / "fresh" / ".sluice-scratch" / "models").glob("*/metrics.jsonl")
    events: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]
    (resumed,) = [event["step"] for event in events if event["event"] == "resume"]
    assert 50 <= resumed < steps
    assert [event["step"] for event in events if event["event"] == "step"] == list(range(1, steps + 1))
