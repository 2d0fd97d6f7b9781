"""Training on a real Slurm of two nodes, through the commands that a flow runs."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from flows.engine.programs import run_to_its_end
from flows.launch.training_command import training_command
from flows.recipe.launch_config import LaunchConfig, SlurmConfig
from flows.recipe.settings import RunSettings
from tests.conftest import ROOT
from tests.flows.launch.real_slurm import can_run, slurm
from tests.flows.launch.trainings import config_of, trainers, wait_for
from tests.model.tiny_corpus import TinyCorpus, read_metrics
from tests.model.training.test_training_loop import losses

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_run(), reason="needs Debian's slurm-wlm and munge, and root"),
]
STEPS = 400
LOOP = {"precision": "float32", "checkpoint_every": 1000}
TWO_NODES = LaunchConfig(kind="slurm", machines=2, slurm=SlurmConfig(partition="low"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cluster that this process's programs find."""
    with slurm(tmp_path_factory.mktemp("slurm")) as environment, pytest.MonkeyPatch.context() as patch:
        for name in ("PATH", "SLURM_CONF"):
            patch.setenv(name, environment[name])
        yield


def command_of(config: Path, launch: LaunchConfig, processes: int = 1) -> list[str]:
    """The command that a flow runs for it."""
    return training_command("model.pretrain", config, launch, RunSettings(store="store", processes=processes))


def run(config: Path, launch: LaunchConfig, processes: int = 1) -> None:
    """Train as a flow does."""
    with disable_run_logger():
        run_to_its_end(command_of(config, launch, processes), config, None, "pretrain", STEPS, "tiny")


def follower(config: Path) -> subprocess.Popen[str]:
    """A training on two nodes that is followed in a process of its own."""
    return subprocess.Popen(
        command_of(config, TWO_NODES), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )


def queued() -> list[str]:
    """The jobs that Slurm has, as `id state`."""
    done = subprocess.run(["squeue", "--noheader", "--format=%i %T"], capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[:-1]


@pytest.mark.usefixtures("cluster")
def test_a_preempted_job_goes_on_to_the_losses_of_a_quiet_run(corpus: TinyCorpus, tmp_path: Path) -> None:
    quiet = config_of(corpus, tmp_path / "quiet", STEPS, **LOOP)
    run(quiet, LaunchConfig(), processes=2)
    config = config_of(corpus, tmp_path / "preempted", STEPS, **LOOP)
    training = follower(config)
    wait_for(lambda: len(losses(config.parent)) > 20, 120)
    urgent = ["srun", "--partition=high", "--nodes=2", "--ntasks=2", "sleep", "5"]
    subprocess.run(urgent, check=True, capture_output=True, timeout=120)
    said, _ = training.communicate(timeout=600)
    assert training.returncode == 0, said
    assert "restarted 1 times" in said
    resumes = [event["step"] for event in read_metrics(config.parent / "metrics.jsonl") if event["event"] == "resume"]
    assert len(resumes) == 1 and 0 < resumes[0] < STEPS, "it went on from the checkpoint that it saved when preempted"
    assert losses(config.parent) == losses(quiet.parent)


@pytest.mark.usefixtures("cluster")
def test_a_cancelled_job_leaves_nothing_but_its_checkpoint(corpus: TinyCorpus, tmp_path: Path) -> None:
    config = config_of(corpus, tmp_path / "cancelled", 100_000, **LOOP)
    training = follower(config)
    wait_for(lambda: len(losses(config.parent)) > 5, 120)
    training.send_signal(signal.SIGTERM)
    said, _ = training.communicate(timeout=60)
    assert training.returncode == 143 and "cancelling it" in said
    assert queued() == []
    assert list((config.parent / "checkpoints").glob("step-*"))
    assert trainers(config) == []


@pytest.mark.usefixtures("cluster")
def test_a_job_outlives_its_flow_and_is_followed_on(corpus: TinyCorpus, tmp_path: Path) -> None:
    config = config_of(corpus, tmp_path / "orphan", STEPS, **LOOP)
    training = follower(config)
    wait_for(lambda: len(losses(config.parent)) > 5, 120)
    training.kill()
    [job] = [line.split()[0] for line in queued()]
    run(config, TWO_NODES)
    assert sorted(losses(config.parent)) == list(range(1, STEPS + 1))
    assert not [event for event in read_metrics(config.parent / "metrics.jsonl") if event["event"] == "resume"]
    assert (config.parent / f"slurm-{job}.out").exists() and len(list(config.parent.glob("slurm-*.out"))) == 1


@pytest.mark.usefixtures("cluster")
def test_what_slurm_refuses_is_told(corpus: TinyCorpus, tmp_path: Path) -> None:
    config = config_of(corpus, tmp_path / "refused", STEPS, **LOOP)
    launch = LaunchConfig(kind="slurm", slurm=SlurmConfig(partition="nowhere"))
    done = subprocess.run(command_of(config, launch), capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert "sbatch" in done.stderr and "invalid partition" in done.stderr
