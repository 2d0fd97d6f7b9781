"""Checkpoints written in the background are those written at once, and a failure there is not lost."""

import threading
from pathlib import Path
from typing import Any

import pytest

from model.base.config import LoopConfig
from model.base.errors import BadInput
from model.checkpoints import writer as checkpoint_writer
from model.checkpoints.checkpointing import newest_valid_checkpoint, write_checkpoint
from model.checkpoints.writer import CheckpointWriter
from tests.model.checkpoints.test_checkpointing import model_and_optimizers, progress, save

LOOP = LoopConfig(steps=9, global_batch_size=1, keep_checkpoints=2, background_checkpoint_mib=0)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Writing begins when it is set."""
    opened = threading.Event()

    def write(*arguments: Any) -> Path:
        assert opened.wait(30)
        return write_checkpoint(*arguments)

    monkeypatch.setattr(checkpoint_writer, "write_checkpoint", write)
    return opened


def test_training_goes_on_while_the_state_of_before_is_written(tmp_path: Path, gate: threading.Event) -> None:
    model, optimizers = model_and_optimizers(1, 2)
    save(tmp_path / "at_once", 2, model, optimizers)
    writer = CheckpointWriter(tmp_path / "background", LOOP)
    writer.save(progress(2), model, optimizers, at_once=False)
    for parameter in model.parameters():
        parameter.data.zero_()
    assert newest_valid_checkpoint(tmp_path / "background") is None
    gate.set()
    writer.wait()
    written = [tmp_path / name / "step-00000002" / "__0_0.distcp" for name in ("at_once", "background")]
    assert written[0].read_bytes() == written[1].read_bytes()


def test_the_next_save_waits_and_closing_finishes(tmp_path: Path, gate: threading.Event) -> None:
    model, optimizers = model_and_optimizers(1, 1)
    writer = CheckpointWriter(tmp_path, LOOP)
    writer.save(progress(1), model, optimizers, at_once=False)
    threading.Timer(0.2, gate.set).start()
    writer.save(progress(2), model, optimizers, at_once=False)
    assert (tmp_path / "step-00000001").is_dir(), "the one before is on disk before the next is begun"
    writer.close()
    newest = newest_valid_checkpoint(tmp_path)
    assert newest is not None and newest.progress == progress(2)


def test_small_states_and_the_last_one_are_on_disk_on_return(tmp_path: Path) -> None:
    model, optimizers = model_and_optimizers(1, 1)
    for number, (mib, at_once) in enumerate([(1, False), (0, True)]):
        loop = LoopConfig(steps=9, global_batch_size=1, background_checkpoint_mib=mib)
        writer = CheckpointWriter(tmp_path / str(number), loop)
        writer.save(progress(3), model, optimizers, at_once=at_once)
        assert newest_valid_checkpoint(tmp_path / str(number)) is not None
        writer.close()


def test_a_failure_in_the_background_is_raised_by_the_next_save(tmp_path: Path) -> None:
    model, optimizers = model_and_optimizers(1, 1)
    writer = CheckpointWriter(tmp_path, LOOP)
    writer.save(progress(1), model, optimizers, at_once=True)
    (tmp_path / "step-00000002.tmp").write_text("in the way")
    writer.save(progress(2), model, optimizers, at_once=False)
    with pytest.raises(BadInput, match=r"cannot write the checkpoint .*step-00000002: Not a directory"):
        writer.save(progress(3), model, optimizers, at_once=False)
    newest = newest_valid_checkpoint(tmp_path)
    assert newest is not None and newest.progress.step == 1, "the last good one is intact"
