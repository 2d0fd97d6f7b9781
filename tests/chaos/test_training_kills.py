"""kill -9 of one training process of two, then of all: every loss is the one of a run that nothing disturbed."""

import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.model.tiny_corpus import TinyCorpus, kill_group, make_tiny_corpus, read_metrics, run_program, start_program
from tests.model.training.test_parallelism import processes
from tests.model.training.test_training_loop import evaluations, losses, wait_for_step

OPTIONS: dict[str, Any] = {"checkpoint_every": 20, "evaluate_every": 100, "background_checkpoint_mib": 0}
STEPS = 400


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> TinyCorpus:
    """A tiny corpus, written once."""
    return make_tiny_corpus(tmp_path_factory.mktemp("corpus"))


def worker(launcher: subprocess.Popen[str], rank: int) -> psutil.Process:
    """The training process of a rank."""
    found = psutil.Process(launcher.pid).children(recursive=True)
    (wanted,) = [process for process in found if process.environ().get("RANK") == str(rank)]
    return wanted


@pytest.mark.slow
@pytest.mark.parametrize("parallelism", ["ddp", "fsdp"])
def test_one_process_then_all_are_killed(corpus: TinyCorpus, tmp_path: Path, parallelism: str) -> None:
    options = OPTIONS | {"parallelism": parallelism}
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "base"
    code, output = run_program("model.pretrain", corpus.pretrain_config(undisturbed, STEPS, **options), processes(2))
    assert code == 0, output
    config = corpus.pretrain_config(folder, STEPS, **options)

    process = start_program("model.pretrain", config, processes(2))
    try:
        wait_for_step(process, folder, 45)
        worker(process, 1).send_signal(signal.SIGKILL)
        process.communicate(timeout=90)
    finally:
        kill_group(process)
    assert process.returncode not in (0, None), "the other process does not train on alone"
    stood_at = max(losses(folder))
    assert stood_at < STEPS

    process = start_program("model.pretrain", config, processes(2))
    wait_for_step(process, folder, stood_at + 40)
    workers = [worker(process, rank) for rank in (0, 1)]
    kill_group(process)
    for orphan in workers:
        orphan.kill()
    assert max(losses(folder)) < STEPS

    code, output = run_program("model.pretrain", config, processes(2))
    assert code == 0, output
    resumed = [event["step"] for event in read_metrics(folder / "metrics.jsonl") if event["event"] == "resume"]
    assert len(resumed) == 2 and 20 <= resumed[0] < resumed[1]
    assert losses(folder) == losses(undisturbed)
    assert evaluations(folder) == evaluations(undisturbed)
