"""A training that is broken off again and again is carried to its end, as long as every try gets somewhere."""

import sys
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from flows.engine.programs import TrainingDiverged, require_programs, run_to_its_end
from flows.launch import packages
from flows.stages.registry import STAGES
from tasks.base.errors import PermanentError, TemporaryError

TRAINER = """
import json, os, signal, sys
from pathlib import Path
config, ending, steps = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with (config.parent / "starts").open("a") as starts:
    starts.write("x")
checkpoints = config.parent / "checkpoints"
step = len(list(checkpoints.glob("step-*")))
if step == steps:
    sys.exit(0)
if ending != "stuck":
    (checkpoints / f"step-{step + 1:08d}").mkdir(parents=True)
if ending == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
code = 2 if ending in ("wrong", "diverged") else 3
outcome = {"exit_code": code, "message": "the cause"} | ({"diverged": True} if ending == "diverged" else {})
config.with_suffix(".outcome.json").write_text(json.dumps(outcome))
sys.exit(1)
"""
"""Saves one checkpoint and ends as it is told: asked to stop, killed, with a wrong config, or without a checkpoint."""


def train(folder: Path, ending: str, steps: int) -> int:
    """Starts of a trainer that needs `steps` checkpoints."""
    config = folder / "config.json"
    config.write_text("{}")
    with disable_run_logger():
        run_to_its_end(
            [sys.executable, "-c", TRAINER, str(config), ending, str(steps)], config, None, "pretrain", steps, "tiny"
        )
    return len((folder / "starts").read_text())


@pytest.mark.parametrize("ending", ["stopped", "killed"])
def test_a_try_that_saved_a_checkpoint_does_not_count(tmp_path: Path, ending: str) -> None:
    assert train(tmp_path, ending, 7) == 8, "more often than a task is tried"


def test_a_try_that_saved_nothing_is_left_to_the_task(tmp_path: Path) -> None:
    with pytest.raises(TemporaryError, match="pretrain was asked to stop and saved a checkpoint"):
        train(tmp_path, "stuck", 3)
    assert (tmp_path / "starts").read_text() == "x"


def test_a_package_that_is_not_installed_is_found_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    require_programs(STAGES.values())
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "accelerate" else name)
    require_programs([STAGES["filter"], STAGES["export"]])
    with pytest.raises(PermanentError, match=r"This needs accelerate.*pip install 'sluice\[train\]'"):
        require_programs(STAGES.values())


@pytest.mark.parametrize("command", [["/nowhere/python"], [sys.executable, "-m", "nowhere.pretrain"]])
def test_a_program_that_cannot_be_started_is_not_tried_again(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "config.json").write_text("{}")
    with disable_run_logger(), pytest.raises(PermanentError, match="pretrain cannot be started"):
        run_to_its_end(command, tmp_path / "config.json", None, "pretrain", 3, "tiny")


def test_a_training_that_diverged_is_told_from_a_wrong_config(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match="pretrain: the cause"):
        train(tmp_path, "diverged", 3)


def test_a_wrong_config_ends_it_whatever_was_saved(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="pretrain: the cause"):
        train(tmp_path, "wrong", 3)
    assert (tmp_path / "starts").read_text() == "x"
