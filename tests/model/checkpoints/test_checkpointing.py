"""Checkpoints are whole or passed over, and come back bit for bit."""

import json
import os
import pickle
import resource
import signal
from pathlib import Path

import pytest
import torch
import xxhash
from torch.optim import Optimizer

from model.base.config import ModelShape, OptimizerConfig
from model.base.errors import BadInput
from model.checkpoints.checkpointing import (
    load_training_state,
    newest_valid_checkpoint,
    refuse_other_run,
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


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "add", "digests"])
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
    elif damage == "add":
        (newest / "__9_9.distcp").write_bytes(b"from elsewhere")
    else:
        (newest / "digests.json").write_text("{")
    found = newest_valid_checkpoint(tmp_path)
    assert found is not None and found.progress.step == 1
    assert "step-00000002 is damaged and passed over" in capsys.readouterr().err


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
