"""Launchers: several machines train as one, none outlives another, and as many processes start as were asked for."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from flows.launch.accelerate_command import Place, accelerate_command
from model.base.program import EXIT_BAD_INPUT, outcome_path
from tests.conftest import ROOT
from tests.flows.launch.trainings import trainers, wait_for
from tests.model.tiny_corpus import TinyCorpus, read_metrics, start_program
from tests.model.training.test_training_loop import losses

pytest.importorskip("accelerate")
STEPS = 300


def start(command: list[str]) -> subprocess.Popen[str]:
    """Starts a launcher."""
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def start_machines(config: Path) -> list[subprocess.Popen[str]]:
    """Starts a launcher for each of two machines, which meet on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    places = [Place(machines=2, rank=rank, head="127.0.0.1", port=port) for rank in ("0", "1")]
    return [start(accelerate_command(sys.executable, "model.pretrain", config, 1, None, place)) for place in places]


@pytest.mark.slow
def test_where_one_machine_dies_the_others_end_and_all_go_on_together(corpus: TinyCorpus, tmp_path: Path) -> None:
    quiet = corpus.pretrain_config(tmp_path / "quiet", STEPS, precision="float32")
    code = [machine.wait(timeout=300) for machine in start_machines(quiet)]
    assert code == [0, 0]
    config = corpus.pretrain_config(tmp_path / "model", STEPS, precision="float32", checkpoint_every=20)
    first, second = start_machines(config)
    wait_for(lambda: len(losses(tmp_path / "model")) > 30)
    second.kill()
    second.communicate()
    first.communicate(timeout=120)
    assert first.returncode != 0
    wait_for(lambda: trainers(config) == [], 30)
    assert [machine.wait(timeout=300) for machine in start_machines(config)] == [0, 0]
    assert any(event["event"] == "resume" for event in read_metrics(tmp_path / "model" / "metrics.jsonl"))
    assert losses(tmp_path / "model") == losses(tmp_path / "quiet")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_trainer_saves_a_checkpoint_when_its_launcher_ends(corpus: TinyCorpus, tmp_path: Path, end: int) -> None:
    """accelerate's launcher of one process passes no signal on."""
    config = corpus.pretrain_config(tmp_path / "model", 100_000, checkpoint_every=100_000)
    launcher = start(accelerate_command(sys.executable, "model.pretrain", config, 1, None))
    wait_for(lambda: len(losses(tmp_path / "model")) > 3)
    launcher.send_signal(end)
    launcher.wait(timeout=60)
    wait_for(lambda: trainers(config) == [], 30)
    assert list((tmp_path / "model" / "checkpoints").glob("step-*"))


def test_another_number_of_processes_than_was_asked_for_is_refused(corpus: TinyCorpus, tmp_path: Path) -> None:
    """`accelerate launch --cpu --num_processes 2` starts a single one."""
    config = corpus.pretrain_config(tmp_path / "model", 2)
    guess = shlex.split("-m accelerate.commands.launch --cpu --num_processes 2 --mixed_precision no --num_machines 1")
    done = subprocess.run(
        [sys.executable, *guess, "-m", "model.pretrain", str(config), "--processes", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    outcome = json.loads(outcome_path(config).read_text())
    assert outcome["exit_code"] == EXIT_BAD_INPUT
    assert "2 processes were asked for and 1 started" in outcome["message"]


def test_checkpoints_come_by_time_as_well(corpus: TinyCorpus, tmp_path: Path) -> None:
    config = corpus.pretrain_config(tmp_path / "model", 100_000, checkpoint_every=100_000, checkpoint_minutes=0.01)
    training = start_program("model.pretrain", config)
    checkpoints = tmp_path / "model" / "checkpoints"
    wait_for(lambda: len(list(checkpoints.glob("step-*"))) > 1)
    training.terminate()
    training.communicate(timeout=60)
