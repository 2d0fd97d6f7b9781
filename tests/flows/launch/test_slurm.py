"""Training on a real Slurm of two nodes, through the commands that a flow runs."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from flows.engine.programs import run_to_its_end
from flows.launch.training_command import training_command
from flows.recipe.launch_config import LaunchConfig, SlurmConfig
from flows.recipe.settings import RunSettings
from tests.conftest import ROOT
from tests.flows.launch.real_slurm import can_run, slurm
from tests.model.tiny_corpus import TinyCorpus, make_tiny_corpus, read_metrics

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_run(), reason="needs Debian's slurm-wlm and munge, and root"),
]
STEPS = 400
TWO_NODES = LaunchConfig(kind="slurm", machines=2, slurm=SlurmConfig(partition="low"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cluster that this process's programs find."""
    with slurm(tmp_path_factory.mktemp("slurm")) as environment, pytest.MonkeyPatch.context() as patch:
        for name in ("PATH", "SLURM_CONF"):
            patch.setenv(name, environment[name])
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> TinyCorpus:
    """A tiny corpus, written once."""
    return make_tiny_corpus(tmp_path_factory.mktemp("corpus"))


def config_of(corpus: TinyCorpus, folder: Path, steps: int = STEPS) -> Path:
    """The config of a training, in its model's folder as a flow has it."""
    folder.mkdir()
    written = corpus.pretrain_config(folder, steps, precision="float32", checkpoint_every=1000)
    return written.rename(folder / "config.json")


def command_of(config: Path, launch: LaunchConfig, processes: int = 1) -> list[str]:
    """The command that a flow runs for it."""
    return training_command("model.pretrain", config, launch, RunSettings(store="store", processes=processes))


def run(config: Path, launch: LaunchConfig, processes: int = 1) -> None:
    """Train as a flow does."""
    with disable_run_logger():
        run_to_its_end(command_of(config, launch, processes), config, None, "pretrain", STEPS, "tiny")


def steps_of(config: Path) -> dict[int, float]:
    """Loss of every step that was logged."""
    events = read_metrics(config.parent / "metrics.jsonl")
    return {event["step"]: event["loss"] for event in events if event["event"] == "step"}


def follower(config: Path) -> subprocess.Popen[str]:
    """A training on two nodes that is followed in a process of its own."""
    return subprocess.Popen(
        command_of(config, TWO_NODES), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def queued() -> list[str]:
    """The jobs that Slurm has, as `id state`."""
    done = subprocess.run(["squeue", "--noheader", "--format=%i %T"], capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[:-1]


@pytest.mark.usefixtures("cluster")
def test_a_preempted_job_goes_on_to_the_losses_of_a_quiet_run(corpus: TinyCorpus, tmp_path: Path) -> None:
    quiet = config_of(corpus, tmp_path / "quiet")
    run(quiet, LaunchConfig(), processes=2)
    config = config_of(corpus, tmp_path / "preempted")
    training = follower(config)
    wait_for(lambda: len(steps_of(config)) > 20)
    urgent = ["srun", "--partition=high", "--nodes=2", "--ntasks=2", "sleep", "5"]
    subprocess.run(urgent, check=True, capture_output=True, timeout=120)
    said, _ = training.communicate(timeout=600)
    assert training.returncode == 0, said
    assert "restarted 1 times" in said
    resumes = [event["step"] for event in read_metrics(config.parent / "metrics.jsonl") if event["event"] == "resume"]
    assert len(resumes) == 1 and 0 < resumes[0] < STEPS, "it went on from the checkpoint that it saved when preempted"
    assert steps_of(config) == steps_of(quiet)


@pytest.mark.usefixtures("cluster")
def test_a_cancelled_job_leaves_nothing_but_its_checkpoint(corpus: TinyCorpus, tmp_path: Path) -> None:
    config = config_of(corpus, tmp_path / "cancelled", steps=100_000)
    training = follower(config)
    wait_for(lambda: len(steps_of(config)) > 5)
    training.send_signal(signal.SIGTERM)
    said, _ = training.communicate(timeout=60)
    assert training.returncode == 143 and "cancelling it" in said
    assert queued() == []
    assert list((config.parent / "checkpoints").glob("step-*"))
    running = subprocess.run(["pgrep", "-f", str(config)], capture_output=True, text=True, check=False)
    assert running.stdout == ""


@pytest.mark.usefixtures("cluster")
def test_a_job_outlives_its_flow_and_is_followed_on(corpus: TinyCorpus, tmp_path: Path) -> None:
    config = config_of(corpus, tmp_path / "orphan")
    training = follower(config)
    wait_for(lambda: len(steps_of(config)) > 5)
    training.kill()
    [job] = [line.split()[0] for line in queued()]
    run(config, TWO_NODES)
    assert sorted(steps_of(config)) == list(range(1, STEPS + 1))
    assert not [event for event in read_metrics(config.parent / "metrics.jsonl") if event["event"] == "resume"]
    assert (config.parent / f"slurm-{job}.out").exists() and len(list(config.parent.glob("slurm-*.out"))) == 1


@pytest.mark.usefixtures("cluster")
def test_what_slurm_refuses_is_told(corpus: TinyCorpus, tmp_path: Path) -> None:
    config = config_of(corpus, tmp_path / "refused")
    launch = LaunchConfig(kind="slurm", slurm=SlurmConfig(partition="nowhere"))
    done = subprocess.run(command_of(config, launch), capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert "sbatch" in done.stderr and "invalid partition" in done.stderr
