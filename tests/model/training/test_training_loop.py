"""Training as it is really run: processes, kills, resumes, one process and two."""

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from model.base.errors import BadInput
from model.base.folder_lock import locked_folder
from model.base.program import outcome_path
from model.checkpoints.checkpointing import newest_valid_checkpoint
from model.pretrain import pretrain
from model.sft import finetune
from tests.conftest import ROOT
from tests.model.tiny_corpus import (
    TinyCorpus,
    kill_group,
    read_metrics,
    run_program,
    start_program,
    write_json,
    write_plan,
    write_tokens,
)

ONE_PROCESS = ("-m", "accelerate.commands.launch", "--config_file", str(ROOT / "infra/accelerate/cpu.yaml"))
TWO_PROCESSES = (
    *("-m", "accelerate.commands.launch", "--main_process_port", "0"),
    *("--config_file", str(ROOT / "infra/accelerate/cpu-2.yaml")),
)


def losses(folder: Path) -> dict[int, float]:
    """The loss of each step in the metrics log; no step may stand there twice."""
    events = [event for event in read_metrics(folder / "metrics.jsonl") if event["event"] == "step"]
    found = {event["step"]: event["loss"] for event in events}
    assert len(found) == len(events)
    return found


def evaluations(folder: Path) -> list[tuple[int, float]]:
    """(step, bits per byte) of the held-out evaluations."""
    events = read_metrics(folder / "metrics.jsonl")
    return [(event["step"], event["bits_per_byte"]) for event in events if event["event"] == "eval"]


def wait_for_step(process: subprocess.Popen[str], folder: Path, step: int) -> None:
    """Waits until the metrics log has a step; a program that ends or hangs before that fails the test."""
    deadline = time.monotonic() + 120
    while max(losses(folder) or [0]) < step:
        if process.poll() is not None or time.monotonic() > deadline:
            kill_group(process)
            raise AssertionError(f"step {step} did not come: {process.communicate()[0]}")
        time.sleep(0.02)


@pytest.fixture(scope="module")
def straight(corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 60 steps that nothing disturbed."""
    folder = tmp_path_factory.mktemp("straight") / "base"
    assert pretrain(corpus.pretrain_config(folder, 60, checkpoint_every=10, evaluate_every=30)) == 0
    return folder


def test_the_loss_falls_and_held_out_text_gets_likelier(straight: Path) -> None:
    by_step = losses(straight)
    assert sorted(by_step) == list(range(1, 61))
    assert by_step[60] < 0.5 * by_step[1]
    assert [step for step, _ in evaluations(straight)] == [30, 60]
    assert evaluations(straight)[1][1] < evaluations(straight)[0][1]
    assert read_metrics(straight / "metrics.jsonl")[-1]["event"] == "done"


def test_killed_and_resumed_training_has_the_same_losses(corpus: TinyCorpus, straight: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    config = corpus.pretrain_config(folder, 60, checkpoint_every=10, evaluate_every=30)
    for step in (13, 38):
        process = start_program("model.pretrain", config, ONE_PROCESS)
        wait_for_step(process, folder, step)
        kill_group(process)
        assert not outcome_path(config).exists(), "a killed program leaves no outcome"
    code, output = run_program("model.pretrain", config, ONE_PROCESS)
    assert code == 0, output
    resumed = [event["step"] for event in read_metrics(folder / "metrics.jsonl") if event["event"] == "resume"]
    assert len(resumed) == 2 and resumed[0] >= 10 and resumed[1] >= 30
    assert losses(folder) == losses(straight)
    assert evaluations(folder) == evaluations(straight)
    assert json.loads(outcome_path(config).read_text()) == {"exit_code": 0, "message": ""}


def test_sigterm_saves_a_checkpoint_and_exits_with_3(corpus: TinyCorpus, straight: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    config = corpus.pretrain_config(folder, 60, checkpoint_every=1000, evaluate_every=30)
    process = start_program("model.pretrain", config)
    wait_for_step(process, folder, 5)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 3, output
    assert json.loads(outcome_path(config).read_text())["exit_code"] == 3
    checkpoint = newest_valid_checkpoint(folder / "checkpoints")
    assert checkpoint is not None and 5 <= checkpoint.progress.step < 60
    assert max(losses(folder)) == checkpoint.progress.step
    assert pretrain(config) == 0
    assert losses(folder) == losses(straight)


def test_two_processes_have_the_losses_of_one(corpus: TinyCorpus, straight: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    # Three sequences a pass on one process of the two, so that shares and passes are uneven.
    config = corpus.pretrain_config(folder, 20, checkpoint_every=10, precision="float32", global_batch_size=5)
    code, output = run_program("model.pretrain", config, TWO_PROCESSES)
    assert code == 0, output
    checkpoint = newest_valid_checkpoint(folder / "checkpoints")
    assert checkpoint is not None
    assert len(list(checkpoint.folder.glob("*.distcp"))) == 2, "there really were two processes"
    alone = tmp_path / "alone"
    options: dict[str, Any] = {"precision": "float32", "global_batch_size": 5, "micro_batch": 2}
    assert pretrain(corpus.pretrain_config(alone, 20, checkpoint_every=10, **options)) == 0
    assert losses(folder) == pytest.approx(losses(alone), abs=1e-3)
    assert evaluations(folder)[0][1] == pytest.approx(evaluations(alone)[0][1], abs=1e-3)
    longer = corpus.pretrain_config(folder, 24, checkpoint_every=10, **options)
    assert pretrain(longer) == 0, "a checkpoint of two processes is read by one"
    assert sorted(losses(folder)) == list(range(1, 25))


def test_a_damaged_newest_checkpoint_costs_only_its_steps(corpus: TinyCorpus, straight: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    config = corpus.pretrain_config(folder, 40, checkpoint_every=10)
    assert pretrain(config) == 0
    whole = losses(folder)
    data = next((folder / "checkpoints" / "step-00000040").glob("*.distcp"))
    data.write_bytes(data.read_bytes()[:-1])
    assert pretrain(config) == 0
    assert losses(folder) == whole
    resumed = [event["step"] for event in read_metrics(folder / "metrics.jsonl") if event["event"] == "resume"]
    assert resumed == [30]


def test_a_finished_run_is_not_run_again(straight: Path, corpus: TinyCorpus) -> None:
    before = {path: path.stat().st_mtime_ns for path in (straight / "checkpoints").rglob("*")}
    assert pretrain(straight.with_suffix(".pretrain.json")) == 0
    assert {path: path.stat().st_mtime_ns for path in (straight / "checkpoints").rglob("*")} == before


def test_resuming_under_another_config_is_refused(corpus: TinyCorpus, straight: Path, tmp_path: Path) -> None:
    values = json.loads(straight.with_suffix(".pretrain.json").read_text())
    values["shape"]["layers"] = 3
    with pytest.raises(BadInput, match=r"was made with shape\.layers = 2, and the config says 3"):
        pretrain(write_json(tmp_path / "other.json", values))
    values["shape"]["layers"] = 2
    values["optimizer"] = {"lr": 0.1}
    with pytest.raises(BadInput, match=r"was made with optimizer\.lr = 0\.004, and the config says 0\.1"):
        pretrain(write_json(tmp_path / "other.json", values))


def test_a_resumed_run_may_have_another_pace_and_more_steps(corpus: TinyCorpus, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    assert pretrain(corpus.pretrain_config(folder, 4, checkpoint_every=2)) == 0
    pace = {"checkpoint_every": 3, "log_every": 2, "evaluate_every": 3, "micro_batch": 2, "keep_checkpoints": 1}
    assert pretrain(corpus.pretrain_config(folder, 6, **pace)) == 0
    assert sorted(losses(folder)) == [1, 2, 3, 4, 6]
    with pytest.raises(BadInput, match=r"was made with loop\.evaluation_documents = 256, and the config says 2"):
        pretrain(corpus.pretrain_config(folder, 8, evaluation_documents=2))


def test_two_runs_cannot_train_in_one_folder(corpus: TinyCorpus, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    config = corpus.pretrain_config(folder, 2000, checkpoint_every=1000)
    process = start_program("model.pretrain", config)
    try:
        wait_for_step(process, folder, 1)
        unfinished = folder / "checkpoints" / "step-00001000.tmp"
        unfinished.mkdir(parents=True)
        with pytest.raises(BadInput, match=f"another run is training in {folder}; wait for it or end it"):
            pretrain(corpus.pretrain_config(folder, 2))
        assert unfinished.is_dir() and losses(folder), "nothing of the other run was touched"
    finally:
        kill_group(process)
    assert pretrain(corpus.pretrain_config(folder, 2)) == 0, "the lock ends with the process that held it"
    with locked_folder(folder):
        pass


def test_a_corpus_without_held_out_documents_is_trained_on_without_evaluation(
    corpus: TinyCorpus, tmp_path: Path
) -> None:
    write_tokens(tmp_path / "tokens", [[{"id": "a", "tokens": [0, 5, 6, 7, 0], "n_bytes": 9, "split": "train"}]])
    write_plan(tmp_path / "packing", [[{"part": 0, "row": 0, "start": 0, "length": 5}]])
    config = corpus.pretrain_config(tmp_path / "base", 3, evaluate_every=1)
    places = {name: str(tmp_path / name) for name in ("tokens", "packing", "cache")}
    assert pretrain(write_json(config, {**json.loads(config.read_text()), **places})) == 0
    assert sorted(losses(tmp_path / "base")) == [1, 2, 3] and evaluations(tmp_path / "base") == []


def test_a_diverging_run_stops_with_a_reason(corpus: TinyCorpus, tmp_path: Path) -> None:
    config = corpus.pretrain_config(tmp_path / "base", 60)
    values = json.loads(config.read_text())
    values["optimizer"] = {"name": "adamw", "lr": 1e30, "gradient_clip": 0}
    with pytest.raises(BadInput, match=r"not finite in 5 steps in a row, up to step \d+; lower optimizer\.lr"):
        pretrain(write_json(config, values))
    skipped = [event for event in read_metrics(tmp_path / "base" / "metrics.jsonl") if event["event"] == "skipped"]
    assert len(skipped) >= 5


@pytest.mark.parametrize("launcher", [(), ONE_PROCESS])
def test_bad_input_exits_with_a_message_and_an_outcome(tmp_path: Path, launcher: tuple[str, ...]) -> None:
    config = write_json(tmp_path / "wrong.json", {"stesp": 3})
    code, output = run_program("model.pretrain", config, launcher)
    assert code == (1 if launcher else 2), "accelerate turns every code into 1"
    assert f"error: {config}: unknown field stesp" in output
    outcome = json.loads(outcome_path(config).read_text())
    assert outcome["exit_code"] == 2 and "unknown field stesp" in outcome["message"]


def test_finetuning_learns_the_replies_and_resumes(corpus: TinyCorpus, straight: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert finetune(corpus.sft_config(whole, straight, 30, checkpoint_every=30)) == 0
    by_step = losses(whole)
    assert by_step[30] < 0.5 * by_step[1]
    (facts,) = (event for event in read_metrics(whole / "metrics.jsonl") if event["event"] == "data")
    assert (facts["conversations"], facts["dropped"]) == (12, 0)
    for steps in (10, 30):
        assert finetune(corpus.sft_config(parts, straight, steps, checkpoint_every=10)) == 0
    first_ten = {step: loss for step, loss in losses(parts).items() if step <= 10}
    assert sorted(losses(parts)) == list(range(1, 31)) and len(first_ten) == 10


def test_finetuning_needs_a_model_and_its_tokenizer(corpus: TinyCorpus, straight: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"holds neither model\.safetensors nor a valid checkpoint"):
        finetune(corpus.sft_config(tmp_path / "chat", tmp_path / "nothing", 5))
    config = corpus.sft_config(tmp_path / "chat", straight, 5)
    values = json.loads(config.read_text())
    values["tokenizer"] = str(tmp_path / "none.json")
    with pytest.raises(BadInput, match=r"there is no tokenizer at .*none\.json"):
        finetune(write_json(config, values))
