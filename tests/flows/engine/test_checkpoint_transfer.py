"""Checkpoints outlive the machine: training goes on from the store on a machine that has none of its files."""

import json
import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xxhash

from flows.engine import checkpoint_transfer
from flows.engine.checkpoint_transfer import CheckpointTransfer
from model.checkpoints.folders import fault_of
from model.pretrain import pretrain
from tasks.base.errors import PermanentError
from tasks.dataset.store import Store
from tests.model.tiny_corpus import TinyCorpus, read_metrics
from tests.model.training.test_training_loop import losses

LOGGER = logging.getLogger(__name__)
PLACE = "models/tiny"


@pytest.fixture(scope="module")
def trained(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 steps with all its checkpoints."""
    folder = tmp_path_factory.mktemp("first") / "tiny"
    assert pretrain(corpus.pretrain_config(folder, 20, checkpoint_every=5, keep_checkpoints=9)) == 0
    return folder


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An object store."""
    store = Store(f"memory://{tmp_path.name}")
    yield store
    store.fs.rm(store.root, recursive=True)


@pytest.fixture
def machine(trained: Path, tmp_path: Path) -> Path:
    """The model folder of a machine that was lost after 15 steps."""
    folder = tmp_path / "here" / "tiny"
    shutil.copytree(trained, folder)
    shutil.rmtree(folder / "checkpoints" / "step-00000020")
    return folder


def names(store: Store) -> list[str]:
    """The checkpoints in the store that hold any file."""
    return [name for name in store.names(f"{PLACE}/checkpoints") if store.names(f"{PLACE}/checkpoints/{name}")]


def test_a_fresh_machine_goes_on_as_the_lost_one_would_have(
    corpus: TinyCorpus, trained: Path, machine: Path, store: Store, tmp_path: Path
) -> None:
    CheckpointTransfer(store, PLACE, machine, LOGGER).send()
    shutil.rmtree(machine)
    fresh = tmp_path / "elsewhere" / "tiny"
    assert CheckpointTransfer(store, PLACE, fresh, LOGGER).restore() == "step-00000015"
    assert pretrain(corpus.pretrain_config(fresh, 20, checkpoint_every=5, keep_checkpoints=9)) == 0
    assert [event["step"] for event in read_metrics(fresh / "metrics.jsonl") if event["event"] == "resume"] == [15]
    assert losses(fresh) == losses(trained)


def test_a_damaged_checkpoint_in_the_store_is_passed_over(
    machine: Path, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    CheckpointTransfer(store, PLACE, machine, LOGGER).send()
    damaged = f"{PLACE}/checkpoints/step-00000015/__0_0.distcp"
    store.write_bytes(damaged, store.read_bytes(damaged)[:-1] + b"?")
    fresh = tmp_path / "elsewhere" / "tiny"
    assert CheckpointTransfer(store, PLACE, fresh, LOGGER).restore() == "step-00000010"
    assert "step-00000015 is damaged and passed over" in caplog.text
    assert [folder.name for folder in (fresh / "checkpoints").iterdir()] == ["step-00000010"]


def test_a_machine_does_not_start_over_where_all_checkpoints_are_damaged(
    machine: Path, store: Store, tmp_path: Path
) -> None:
    transfer = CheckpointTransfer(store, PLACE, machine, LOGGER)
    transfer.send()
    for name in names(store):
        store.write_bytes(f"{PLACE}/checkpoints/{name}/training.json", b"{}")
    with pytest.raises(PermanentError, match=r"All checkpoints in .*models/tiny/checkpoints are damaged: put"):
        CheckpointTransfer(store, PLACE, tmp_path / "elsewhere" / "tiny", LOGGER).restore()
    assert transfer.restore() is None, "those of this machine are intact"


def test_one_that_is_damaged_here_is_fetched_anew(machine: Path, store: Store) -> None:
    transfer = CheckpointTransfer(store, PLACE, machine, LOGGER)
    transfer.send()
    (machine / "checkpoints" / "step-00000015" / "training.json").write_text("{}")
    assert transfer.restore() == "step-00000015"
    assert fault_of(machine / "checkpoints" / "step-00000015") is None


def test_strays_beside_checkpoints_stay_where_they_are(machine: Path, store: Store) -> None:
    (machine / "checkpoints" / "step-00000015" / ".ipynb_checkpoints").mkdir()
    shutil.copytree(machine / "checkpoints" / "step-00000015", machine / "checkpoints" / "step-00000015.bak")
    store.write_bytes(f"{PLACE}/checkpoints/step-00000010.bak/digests.json", b"{}")
    transfer = CheckpointTransfer(store, PLACE, machine, LOGGER)
    transfer.send()
    assert names(store) == ["step-00000005", "step-00000010", "step-00000010.bak", "step-00000015"]
    assert transfer.restore() is None


def test_one_that_was_not_sent_to_its_end_is_not_seen(machine: Path, store: Store, tmp_path: Path) -> None:
    CheckpointTransfer(store, PLACE, machine, LOGGER).send()
    store.remove(f"{PLACE}/checkpoints/step-00000015/digests.json")
    fresh = tmp_path / "elsewhere" / "tiny"
    assert CheckpointTransfer(store, PLACE, fresh, LOGGER).restore() == "step-00000010"


def test_what_is_newer_here_stays(machine: Path, store: Store) -> None:
    transfer = CheckpointTransfer(store, PLACE, machine, LOGGER)
    transfer.send()
    with (machine / "metrics.jsonl").open("a") as log:
        log.write(json.dumps({"event": "step", "step": 21, "loss": 1.0}) + "\n")
    before = (machine / "metrics.jsonl").read_text()
    assert transfer.restore() is None
    assert (machine / "metrics.jsonl").read_text() == before
    assert CheckpointTransfer(Store(f"{store.url}-empty"), PLACE, machine, LOGGER).restore() is None


def test_what_is_no_longer_kept_here_goes_there(machine: Path, store: Store) -> None:
    transfer = CheckpointTransfer(store, PLACE, machine, LOGGER)
    transfer.send()
    assert names(store) == ["step-00000005", "step-00000010", "step-00000015"]
    assert ".metadata" in store.names(f"{PLACE}/checkpoints/step-00000015")
    for old in ("step-00000005", "step-00000010"):
        shutil.rmtree(machine / "checkpoints" / old)
    transfer.send()
    assert names(store) == ["step-00000015"]
    shutil.rmtree(machine / "checkpoints")
    transfer.send()
    assert names(store) == ["step-00000015"], "a machine without any takes nothing away"


def test_one_that_training_came_to_anew_replaces_the_one_before(machine: Path, store: Store, tmp_path: Path) -> None:
    transfer = CheckpointTransfer(store, PLACE, machine, LOGGER)
    transfer.send()
    step_15 = machine / "checkpoints" / "step-00000015"
    digests = json.loads((step_15 / "digests.json").read_text())
    (step_15 / "training.json").write_text("{}")
    digests["training.json"] = xxhash.xxh3_128(b"{}").hexdigest()
    (step_15 / "digests.json").write_text(json.dumps(digests))
    transfer.send()
    fresh = tmp_path / "elsewhere" / "tiny"
    assert CheckpointTransfer(store, PLACE, fresh, LOGGER).restore() == "step-00000015"
    assert (fresh / "checkpoints" / "step-00000015" / "training.json").read_text() == "{}"


def test_they_are_sent_while_training_runs_and_a_failing_store_is_tried_again(
    machine: Path, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for pause in ("_POLL_SECONDS", "_RETRY_SECONDS"):
        monkeypatch.setattr(checkpoint_transfer, pause, 0.02)
    put, failures = store.fs.put_file, iter([OSError("no route to the store")] * 3)

    def unsteady(*arguments: Any, **options: Any) -> None:
        if error := next(failures, None):
            raise error
        put(*arguments, **options)

    monkeypatch.setattr(store.fs, "put_file", unsteady)
    with CheckpointTransfer(store, PLACE, machine, LOGGER).sending():
        deadline = time.monotonic() + 30
        while len(names(store)) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(names(store)) == 3, "sent before the end"
    assert caplog.text.count("no route to the store") == 3


def test_an_interrupted_training_sends_its_last_checkpoint(machine: Path, store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), CheckpointTransfer(store, PLACE, machine, LOGGER).sending():
        raise KeyboardInterrupt
    assert names(store)[-1] == "step-00000015"
