"""A run may end before its last step: it is done then, not broken off."""

import json
from pathlib import Path
from typing import Any

import pytest

from model.base.config import LoopConfig
from model.base.errors import BadInput
from model.base.program import outcome_path
from model.checkpoints.checkpointing import newest_valid_checkpoint
from model.checkpoints.progress import EarlyStoppingState
from model.pretrain import pretrain
from model.training.early_stopping import EarlyStopping
from tests.model.tiny_corpus import TinyCorpus, read_metrics, run_program, write_json
from tests.model.training.test_training_loop import TWO_PROCESSES, evaluations, losses


def without_learning(config: Path) -> Path:
    """The config with a learning rate that changes nothing, so that the held-out loss never falls."""
    values = json.loads(config.read_text())
    return write_json(config, {**values, "optimizer": {"lr_scale": 1e-30}})


def reason(folder: Path) -> str | None:
    """Why the run ended before its last step."""
    last: dict[str, Any] = read_metrics(folder / "metrics.jsonl")[-1]
    assert last["event"] == "done"
    return last.get("reason")


def test_patience_counts_evaluations_since_the_best() -> None:
    end = EarlyStopping(LoopConfig(1, 1, patience=2, evaluate_every=1), EarlyStoppingState())
    seen = []
    for loss in (3.0, 2.0, 2.5, 1.9, 1.9, 2.0):
        end.saw_held_out_loss(loss)
        seen.append(end.out_of_patience)
    assert seen == [False, False, False, False, False, True]
    assert end.state(7.0) == EarlyStoppingState(7.0, 1.9, 2)


def test_hours_are_counted_over_all_resumes() -> None:
    end = EarlyStopping(LoopConfig(1, 1, max_hours=0.5), EarlyStoppingState(1000.0))
    assert not end.out_of_time(1799.9) and end.out_of_time(1800.0)
    assert not EarlyStopping(LoopConfig(1, 1), EarlyStoppingState()).out_of_time(1e9)


def test_a_run_ends_when_the_held_out_loss_does_not_fall(
    corpus: TinyCorpus, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "base"
    impatient = without_learning(corpus.pretrain_config(folder, 40, evaluate_every=3, patience=2))
    code, output = run_program("model.pretrain", impatient)
    assert code == 0, output
    assert json.loads(outcome_path(impatient).read_text())["exit_code"] == 0
    told = "the held-out loss has not fallen for 2 evaluations (loop.patience)"
    assert reason(folder) == told and f"training ended after step 9: {told}" in output
    assert max(losses(folder)) == 9 and [step for step, _ in evaluations(folder)] == [3, 6, 9]
    checkpoint = newest_valid_checkpoint(folder / "checkpoints")
    assert checkpoint is not None and checkpoint.progress.step == 9

    assert pretrain(impatient) == 0
    assert reason(folder) == told and max(losses(folder)) == 9, "started again it is over at once"
    assert pretrain(without_learning(corpus.pretrain_config(folder, 12))) == 0
    assert reason(folder) is None and max(losses(folder)) == 12, "with more patience it goes on"


def test_patience_survives_a_resume(corpus: TinyCorpus, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    for steps in (7, 40):
        assert pretrain(without_learning(corpus.pretrain_config(folder, steps, evaluate_every=4, patience=3))) == 0
    # Evaluations at 4, at the end of the first run at 7, at 8 and at 12.
    assert [step for step, _ in evaluations(folder)] == [4, 7, 8, 12] and max(losses(folder)) == 12


def test_patience_without_held_out_documents_is_refused(corpus: TinyCorpus, tmp_path: Path) -> None:
    from model.sft import finetune

    base = tmp_path / "base"
    assert pretrain(corpus.pretrain_config(base, 2)) == 0
    with pytest.raises(
        BadInput, match=r"loop\.patience ends a run by its loss on held-out documents, and this run has"
    ):
        finetune(corpus.sft_config(tmp_path / "chat", base, 5, patience=1, evaluate_every=1))
    with pytest.raises(BadInput, match=r"loop\.patience needs evaluate_every above 0"):
        pretrain(corpus.pretrain_config(base, 5, patience=1))


def test_a_run_ends_when_its_time_is_over_and_goes_on_with_more(corpus: TinyCorpus, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    limited = corpus.pretrain_config(folder, 40, max_hours=1e-9)
    code, output = run_program("model.pretrain", limited, TWO_PROCESSES)
    assert code == 0, output
    assert reason(folder) == "it reached loop.max_hours, 1e-09 hours of training"
    assert sorted(losses(folder)) == [1] and [step for step, _ in evaluations(folder)] == [1]
    assert pretrain(limited) == 0
    assert sorted(losses(folder)) == [1], "started again it is over at once"
    assert pretrain(corpus.pretrain_config(folder, 5, max_hours=1.0)) == 0
    assert sorted(losses(folder)) == [1, 2, 3, 4, 5] and reason(folder) is None
    checkpoint = newest_valid_checkpoint(folder / "checkpoints")
    assert checkpoint is not None and 0 < checkpoint.progress.early_stopping.seconds < 600
