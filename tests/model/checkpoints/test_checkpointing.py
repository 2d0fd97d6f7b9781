"""Checkpoints are whole or passed over, and come back bit for bit."""

import json
import os
import pickle
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path, PosixPath

import pytest
import torch
import xxhash
from torch.distributed.checkpoint.metadata import Metadata
from torch.optim import Optimizer

from model.base.errors import BadInput
from model.base.learning_config import OptimizerConfig
from model.base.sizes import ModelShape
from model.checkpoints.checkpointing import (
    Checkpoint,
    load_model,
    load_training_state,
    newest_valid_checkpoint,
    refuse_other_run,
    remove_checkpoints_after,
    training_state,
    write_checkpoint,
)
from model.checkpoints.progress import EarlyStoppingState, LossSpikeState, Progress
from model.network.transformer import Transformer, initialise
from model.training.optimizer import build_optimizers
from tests.model.tiny_corpus import SHAPE


def model_and_optimizers(seed: int, steps: int) -> tuple[Transformer, list[Optimizer]]:
    """A model that made some steps on random gradients."""
    model = Transformer(ModelShape(**SHAPE))
    initialise(model, seed)
    optimizers = build_optimizers(model, OptimizerConfig(), torch.bfloat16)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        _step(model, optimizers, generator)
    return model, optimizers


def _step(model: Transformer, optimizers: list[Optimizer], generator: torch.Generator) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    for optimizer in optimizers:
        optimizer.step()


def progress(step: int) -> Progress:
    """The progress record of a step."""
    return Progress(step, step * 100, ModelShape(**SHAPE), {"loop.seed": 1}, LossSpikeState(), EarlyStoppingState())


def save(folder: Path, step: int, model: Transformer, optimizers: list[Optimizer], keep: int = 9) -> Path:
    """Write a checkpoint of the state as it is now."""
    return write_checkpoint(folder, progress(step), training_state(model, optimizers), keep)


def save_steps(folder: Path, steps: list[int], keep: int = 9) -> None:
    """Saves a checkpoint for each step."""
    model, optimizers = model_and_optimizers(1, 1)
    for step in steps:
        save(folder, step, model, optimizers, keep)


def test_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    model, optimizers = model_and_optimizers(1, 2)
    save(tmp_path, 2, model, optimizers)
    other, other_optimizers = model_and_optimizers(5, 0)
    checkpoint = newest_valid_checkpoint(tmp_path)
    assert checkpoint is not None and checkpoint.progress == progress(2)
    load_training_state(checkpoint, other, other_optimizers)
    for trained, its_optimizers in ((model, optimizers), (other, other_optimizers)):
        generator = torch.Generator().manual_seed(9)
        for _ in range(3):
            _step(trained, its_optimizers, generator)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    save_steps(tmp_path, [1, 2, 10], keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000010"]


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "{", "{}", "[]", "[" * 200_000])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    save_steps(tmp_path, [1, 2])
    newest = tmp_path / "step-00000002"
    data = next(newest.glob("*.distcp"))
    whole = data.read_bytes()
    if damage == "flip":
        data.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    elif damage == "cut":
        data.write_bytes(whole[:-10])
    elif damage == "remove":
        (newest / ".metadata").unlink()
    else:
        (newest / "digests.json").write_text(damage)
    found = newest_valid_checkpoint(tmp_path)
    assert found is not None and found.progress.step == 1
    assert "step-00000002 is damaged and passed over" in capsys.readouterr().err


def test_what_is_not_listed_does_no_harm(tmp_path: Path) -> None:
    """Desktops, notebooks and network disks leave files everywhere, and people put copies beside what they copy."""
    save_steps(tmp_path, [1, 2])
    newest = tmp_path / "step-00000002"
    for stray in (".DS_Store", ".nfs000000001", "._.metadata", "Thumbs.db", "__9_9.distcp"):
        (newest / stray).write_bytes(b"x")
    (newest / ".ipynb_checkpoints").mkdir()
    others = ["step-00000002.bak", "step-00000003 copy", "step-3", "step-last", "step-00000009x"]
    for other in others:
        shutil.copytree(newest, tmp_path / other)
    (tmp_path / "step-00000004").write_text("a file")
    found = newest_valid_checkpoint(tmp_path)
    assert found is not None and found.folder == newest
    save_steps(tmp_path, [5], keep=2)
    remove_checkpoints_after(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "step-00000002", "step-00000004"])


def test_steps_of_nine_digits_come_after_those_of_eight(tmp_path: Path) -> None:
    save_steps(tmp_path, [99_999_999, 100_000_000])
    found = newest_valid_checkpoint(tmp_path)
    assert found is not None and found.progress.step == 100_000_000


def test_damaged_checkpoints_are_no_reason_to_start_over(tmp_path: Path) -> None:
    save_steps(tmp_path, [1, 2])
    for folder in tmp_path.iterdir():
        (folder / "training.json").write_text("{}")
    said = r"all checkpoints in .* are damaged \(step-00000002: the digest of training.json is wrong; step-00000001: "
    with pytest.raises(BadInput, match=said + ".*put an intact copy of one back, or move the folder away"):
        newest_valid_checkpoint(tmp_path)


def test_a_damaged_later_checkpoint_is_not_kept_for_the_one_just_written(tmp_path: Path) -> None:
    save_steps(tmp_path, [1, 9])
    (tmp_path / "step-00000009" / "training.json").write_text("{}")
    save_steps(tmp_path, [2], keep=1)
    found = newest_valid_checkpoint(tmp_path)
    assert found is not None and found.progress.step == 2
    save_steps(tmp_path, [9], keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000009"]


class MakesFolder:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    """Its digests are right, as those of whoever means harm would be."""
    (model, optimizers), made = model_and_optimizers(1, 1), tmp_path / "made"
    state = training_state(model, optimizers)
    state["optimizer"]["param_groups"][0]["lr"] = MakesFolder(made)
    write_checkpoint(tmp_path / "values", progress(1), state, keep=1)
    save(tmp_path / "metadata", 1, model, optimizers)
    metadata = tmp_path / "metadata" / "step-00000001" / ".metadata"
    metadata.write_bytes(pickle.dumps(MakesFolder(made)))
    digests = metadata.with_name("digests.json")
    right = {".metadata": xxhash.xxh3_128_hexdigest(metadata.read_bytes())}
    digests.write_text(json.dumps(json.loads(digests.read_text()) | right))
    for kind, why in (("values", r"lr is neither a tensor nor a plain value"), ("metadata", r"posix\.mkdir")):
        checkpoint = newest_valid_checkpoint(tmp_path / kind)
        assert checkpoint is not None
        with pytest.raises(BadInput, match=rf"{kind}/step-00000001 is refused: .*{why}"):
            load_training_state(checkpoint, model, optimizers)
    assert not made.exists()


def with_metadata(folder: Path, metadata: bytes) -> Checkpoint:
    """A checkpoint whose metadata are these bytes, and whose digests are right."""
    save_steps(folder, [1])
    written = folder / "step-00000001"
    (written / ".metadata").write_bytes(metadata)
    digests = json.loads((written / "digests.json").read_text())
    digests[".metadata"] = xxhash.xxh3_128_hexdigest(metadata)
    (written / "digests.json").write_text(json.dumps(digests))
    found = newest_valid_checkpoint(folder)
    assert found is not None
    return found


def changed_metadata(folder: Path, change: Callable[[Metadata], object]) -> bytes:
    """The metadata of a checkpoint after a change."""
    save_steps(folder, [1])
    metadata = pickle.loads((folder / "step-00000001" / ".metadata").read_bytes())  # noqa: S301 - just written
    change(metadata)
    return pickle.dumps(metadata)


PATCH = b"\x80\x02cpathlib\nPosixPath\nN}X\x0b\x00\x00\x00__truediv__ctorch\nSize\ns\x86b."
"""A pickle that replaces PosixPath.__truediv__ by torch.Size."""


def test_metadata_change_no_class_of_the_program(tmp_path: Path) -> None:
    before = PosixPath.__truediv__
    for number, name in enumerate((b"cpathlib\nPosixPath", b"ctorch.distributed.checkpoint.metadata\nMetadata")):
        hostile = PATCH.replace(b"cpathlib\nPosixPath", name, 1)
        checkpoint = with_metadata(tmp_path / str(number), hostile)
        with pytest.raises(BadInput, match=r"is refused: its \.metadata holds no metadata of a checkpoint"):
            load_model(checkpoint, Transformer(ModelShape(**SHAPE)))
    assert PosixPath.__truediv__ is before and not hasattr(Metadata, "__truediv__")


@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "__9_9.distcp", "a/../__0_0.distcp", "", ".."])
def test_data_are_read_from_the_files_that_are_listed_only(tmp_path: Path, place: str) -> None:
    def elsewhere(metadata: Metadata) -> None:
        for stored in metadata.storage_data.values():
            stored.relative_path = place

    (tmp_path / "secret").write_text("s")
    checkpoint = with_metadata(tmp_path / "read", changed_metadata(tmp_path / "made", elsewhere))
    with pytest.raises(BadInput, match=f"it names the file {place!r}, which the checkpoint does not list"):
        load_model(checkpoint, Transformer(ModelShape(**SHAPE)))


@pytest.mark.parametrize(
    "change",
    [
        lambda metadata: metadata.storage_data.update({"x": "y"}),
        lambda metadata: next(iter(metadata.storage_data.values())).__dict__.update(offset=-1),
        lambda metadata: next(iter(metadata.storage_data.values())).__dict__.update(length="all"),
        lambda metadata: metadata.state_dict_metadata.update(x=torch.Size([1])),
        lambda metadata: metadata.__dict__.update(storage_data=None),
        lambda metadata: metadata.__dict__.clear(),
    ],
)
def test_metadata_that_make_no_sense_are_refused(tmp_path: Path, change: Callable[[Metadata], object]) -> None:
    checkpoint = with_metadata(tmp_path / "read", changed_metadata(tmp_path / "made", change))
    with pytest.raises(BadInput, match=r"is refused: its \.metadata hold"):
        load_model(checkpoint, Transformer(ModelShape(**SHAPE)))


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"PK\x03\x04", b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f", b"\x80\x02K\x01b."]
)
def test_bytes_that_are_no_pickle_are_refused(tmp_path: Path, data: bytes) -> None:
    checkpoint = with_metadata(tmp_path, data)
    with pytest.raises(BadInput, match=r"is refused: its \.metadata holds no metadata of a checkpoint"):
        load_model(checkpoint, Transformer(ModelShape(**SHAPE)))


def test_a_checkpoint_without_optimizer_state_is_refused(tmp_path: Path) -> None:
    model, optimizers = model_and_optimizers(1, 1)
    write_checkpoint(tmp_path, progress(1), {"model": training_state(model, optimizers)["model"]}, keep=1)
    checkpoint = newest_valid_checkpoint(tmp_path)
    assert checkpoint is not None
    load_model(checkpoint, model)
    with pytest.raises(BadInput, match="step-00000001 is refused: Missing key in checkpoint state_dict: optimizer"):
        load_training_state(checkpoint, model, optimizers)


@pytest.mark.parametrize("name", ["../other/training.json", "/etc/passwd", "a/b", "..", ""])
def test_a_list_of_files_elsewhere_is_damaged(tmp_path: Path, name: str) -> None:
    save_steps(tmp_path, [1])
    listed = tmp_path / "step-00000001" / "digests.json"
    listed.write_text(json.dumps(json.loads(listed.read_text()) | {name: "0"}))
    with pytest.raises(BadInput, match=r"digests\.json is no list of files"):
        newest_valid_checkpoint(tmp_path)


def test_an_unfinished_checkpoint_is_not_seen(tmp_path: Path) -> None:
    save_steps(tmp_path, [1])
    (tmp_path / "step-00000002.tmp").mkdir()
    found = newest_valid_checkpoint(tmp_path)
    assert found is not None and found.progress.step == 1
    save_steps(tmp_path, [3])
    assert not (tmp_path / "step-00000002.tmp").exists(), "what a kill left behind is cleared away"
    assert newest_valid_checkpoint(tmp_path / "none") is None


def test_a_disk_that_cannot_take_a_checkpoint_leaves_the_last_one(tmp_path: Path) -> None:
    save_steps(tmp_path, [1])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(BadInput, match=r"cannot write the checkpoint .*step-00000002: .*File too large"):
            save_steps(tmp_path, [2])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert newest_valid_checkpoint(tmp_path) is not None


def test_another_shape_or_run_is_refused_by_name(tmp_path: Path) -> None:
    save_steps(tmp_path, [1])
    checkpoint = newest_valid_checkpoint(tmp_path)
    assert checkpoint is not None
    refuse_other_run(checkpoint, ModelShape(**SHAPE), {"loop.seed": 1})
    with pytest.raises(BadInput, match=r"was made with shape\.layers = 2, and the config says 3"):
        refuse_other_run(checkpoint, ModelShape(**{**SHAPE, "layers": 3}), {"loop.seed": 1})
    with pytest.raises(BadInput, match=r"was made with loop\.seed = 1, and the config says 2"):
        refuse_other_run(checkpoint, ModelShape(**SHAPE), {"loop.seed": 2})
