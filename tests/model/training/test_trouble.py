"""Trouble on the way: what is wrong is told, the last good checkpoint stays, and training goes on from it."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.base.errors import BadInput
from model.base.program import outcome_path
from model.checkpoints.checkpointing import newest_valid_checkpoint
from model.pretrain import pretrain
from tests.conftest import ROOT
from tests.model.tiny_corpus import (
    CONTEXT,
    TinyCorpus,
    run_program,
    start_program,
    write_json,
    write_plan,
    write_tokens,
)
from tests.model.training.test_training_loop import TWO_PROCESSES, losses, wait_for_step

STEPS = 12


@pytest.fixture(scope="module")
def straight(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("straight") / "base"
    assert pretrain(corpus.pretrain_config(folder, STEPS, checkpoint_every=4)) == 0
    return folder


def half_done(straight: Path, folder: Path) -> Path:
    """A run like `straight`, broken off after its checkpoint of step 8."""
    shutil.copytree(straight, folder)
    shutil.rmtree(folder / "checkpoints" / f"step-{STEPS:08d}")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder, but for locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def too_large_an_id(place: Path, values: dict[str, Any]) -> None:
    """Tokens of another, larger vocabulary."""
    write_tokens(place / "tokens", [[{"id": "a", "tokens": [0, 384, 0], "n_bytes": 3, "split": "train"}]])


def no_tokens(place: Path, values: dict[str, Any]) -> None:
    """A tokens dataset of which nothing was kept."""
    write_tokens(place / "tokens", [[]])


def no_training_documents(place: Path, values: dict[str, Any]) -> None:
    """A packing plan without sequences: every document is held out."""
    write_plan(place / "packing", [])


def half_a_part(place: Path, values: dict[str, Any]) -> None:
    """A part that was cut off in a copy."""
    shutil.copytree(values["tokens"], place / "tokens")
    part = place / "tokens" / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:2000])


def another_context(place: Path, values: dict[str, Any]) -> None:
    """A packing plan for twice the context."""
    segment = {"part": 0, "row": 5, "start": 0, "length": 2 * CONTEXT + 1}
    write_plan(place / "packing", [[segment]])


def another_shape(place: Path, values: dict[str, Any]) -> None:
    """A wider model than the one in the folder."""
    values["shape"] = {**values["shape"], "hidden_size": 64}


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (too_large_an_id, r"the tokens dataset holds id 384, but shape\.vocab_size is 384; set it to the size"),
        (no_tokens, r"tokens holds no tokens; nothing can be trained on it"),
        (no_training_documents, r"packing holds no sequences; is the training split of the tokens empty\?"),
        (half_a_part, r"part-00001\.parquet .*; delete it and run the stage that makes it again"),
        (another_context, r"a sequence of 65 tokens, but shape\.context 32 takes at most 33; pack again"),
        (
            another_shape,
            r"step-00000008 was made with shape\.hidden_size = 32, and the config says 64; put the field back",
        ),
    ],
)
def test_what_cannot_be_trained_on_leaves_the_run_as_it_was(
    corpus: TinyCorpus, straight: Path, tmp_path: Path, spoil: Callable[[Path, dict[str, Any]], None], told: str
) -> None:
    folder = half_done(straight, tmp_path / "base")
    before = contents(folder)
    config = corpus.pretrain_config(folder, STEPS, checkpoint_every=4)
    values = json.loads(config.read_text())
    (tmp_path / "place").mkdir()
    spoil(tmp_path / "place", values)
    for name in ("tokens", "packing"):
        if (tmp_path / "place" / name).is_dir():
            values[name] = str(tmp_path / "place" / name)
    with pytest.raises(BadInput, match=told):
        pretrain(write_json(tmp_path / "spoilt.json", values | {"cache": str(tmp_path / "cache")}))
    assert contents(folder) == before
    assert pretrain(config) == 0
    assert losses(folder) == losses(straight)


def test_a_disk_that_fills_up_during_a_checkpoint(corpus: TinyCorpus, straight: Path, tmp_path: Path) -> None:
    folder, disk = half_done(straight, tmp_path / "base"), tmp_path / "disk"
    disk.mkdir()
    room = sum(len(content) for content in contents(folder).values()) // 1024 + 220
    config = corpus.pretrain_config(disk, STEPS, checkpoint_every=4)
    on_a_small_disk = (
        f"mount -t tmpfs -o size={room}k none {disk} || exit 77; cp -a {folder}/. {disk}; "
        f"{sys.executable} -m model.pretrain {config}; code=$?; rm -r {folder}; cp -a {disk} {folder}; exit $code"
    )
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", on_a_small_disk]
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare to mount a small disk with")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"no disk may be mounted here: {done.stderr.strip()}")
    assert done.returncode == 2, done.stderr
    message = json.loads(outcome_path(config).read_text())["message"]
    assert message.startswith(f"cannot write the checkpoint {disk}/checkpoints/step-{STEPS:08d}: ")
    assert "No space left on device" in message and "make room and start again" in message
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-00000008"]
    checkpoint = newest_valid_checkpoint(folder / "checkpoints")
    assert checkpoint is not None and checkpoint.progress.step == 8
    assert pretrain(corpus.pretrain_config(folder, STEPS, checkpoint_every=4)) == 0
    assert losses(folder) == losses(straight)


@pytest.mark.slow
def test_a_preempted_job_of_two_processes_has_the_losses_of_an_undisturbed_one(
    corpus: TinyCorpus, tmp_path: Path
) -> None:
    """What a cluster does: SIGTERM to the launcher alone, and the same command again when there is room."""
    folder, straight = tmp_path / "base", tmp_path / "straight"
    options: dict[str, Any] = {"checkpoint_every": 1000, "spike_sigma": 6.0}
    config = corpus.pretrain_config(folder, 200, **options)
    process = start_program("model.pretrain", config, TWO_PROCESSES)
    wait_for_step(process, folder, 70)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0, output
    assert json.loads(outcome_path(config).read_text()) == {"exit_code": 3, "message": ""}, output
    checkpoint = newest_valid_checkpoint(folder / "checkpoints")
    assert checkpoint is not None and checkpoint.progress.step == max(losses(folder)) >= 70
    for path in (config, corpus.pretrain_config(straight, 200, **options)):
        code, output = run_program("model.pretrain", path, TWO_PROCESSES)
        assert code == 0, output
    assert losses(folder) == losses(straight)
