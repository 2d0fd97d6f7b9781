"""Training starts in whatever environment other programs have left behind."""

from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from flows.engine.programs import run_to_its_end
from flows.launch.training_command import training_command
from flows.recipe.launch_config import LaunchConfig
from flows.recipe.settings import RunSettings
from tests.model.tiny_corpus import TinyCorpus, read_metrics

pytest.importorskip("accelerate")

OTHER_PROJECT = """
compute_environment: LOCAL_MACHINE
distributed_type: DEEPSPEED
mixed_precision: fp16
deepspeed_config:
  zero_stage: 2
num_machines: 1
num_processes: 4
machine_rank: 0
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder in which `accelerate config` was once run for another project."""
    config = tmp_path / "huggingface" / "accelerate" / "default_config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(OTHER_PROJECT)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    return tmp_path


@pytest.fixture
def other_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a worker of some other launcher, whose address nobody answers at."""
    for name, value in {
        **{"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"},
        **{"MASTER_ADDR": "192.0.2.1", "MASTER_PORT": "29400", "OMPI_COMM_WORLD_SIZE": "2"},
        **{"ACCELERATE_USE_FSDP": "true", "ACCELERATE_MIXED_PRECISION": "fp8", "TORCHELASTIC_RUN_ID": "other"},
    }.items():
        monkeypatch.setenv(name, value)


def train(corpus: TinyCorpus, folder: Path, processes: int) -> list[float]:
    """Losses of a run of two steps, launched as a flow launches it."""
    config = corpus.pretrain_config(folder, 2)
    settings = RunSettings(store="store", processes=processes)
    command = training_command("model.pretrain", config, LaunchConfig(), settings)
    with disable_run_logger():
        run_to_its_end(command, config, None, "pretrain", 2, "tiny")
    return [event["loss"] for event in read_metrics(folder / "metrics.jsonl") if event["event"] == "step"]


@pytest.mark.usefixtures("other_launcher")
@pytest.mark.parametrize("processes", [1, 2])
def test_what_others_left_behind_does_not_matter(corpus: TinyCorpus, home: Path, processes: int) -> None:
    assert len(train(corpus, home / "model", processes)) == 2


def test_the_launcher_makes_its_folder_in_the_models(
    corpus: TinyCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In /tmp it would stay for ever where the launcher is killed; in the model's the flow removes it."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    train(corpus, tmp_path / "model", 2)
    assert not [path.name for path in (tmp_path / "tmp").iterdir() if "elastic" in path.name]
