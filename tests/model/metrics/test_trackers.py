"""Trackers get the numbers of the metrics log, and cost nothing where they are not asked for."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from model.base.errors import BadInput
from model.pretrain import pretrain
from tests.conftest import ROOT
from tests.model.tiny_corpus import TinyCorpus, run_program
from tests.model.training.test_training_loop import evaluations, losses


def test_tensorboard_shows_the_curves_of_the_log(corpus: TinyCorpus, tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder = tmp_path / "base"
    for steps in (4, 6):
        assert pretrain(corpus.pretrain_config(folder, steps, trackers=["tensorboard"], evaluate_every=3)) == 0
    shown = accumulators.EventAccumulator(str(folder / "tensorboard"))
    shown.Reload()
    curve = {point.step: point.value for point in shown.Scalars("train/loss")}
    assert curve == pytest.approx(losses(folder)) and sorted(curve) == [1, 2, 3, 4, 5, 6]
    assert {"train/lr", "train/grad_norm", "train/tokens_per_second", "train/mfu"} <= set(shown.Tags()["scalars"])
    scores = [(point.step, point.value) for point in shown.Scalars("eval/bits_per_byte")]
    assert scores == [(step, pytest.approx(score)) for step, score in evaluations(folder)]


@pytest.mark.slow
def test_wandb_keeps_a_run_offline(corpus: TinyCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    config = corpus.pretrain_config(tmp_path / "base", 3, trackers=["wandb"])
    code, output = run_program("model.pretrain", config)
    assert code == 0, output
    (kept,) = (tmp_path / "base" / "wandb").glob("offline-run-*/run-base.wandb")
    assert b"train/loss" in kept.read_bytes()


def test_a_tracker_that_is_not_installed_is_named(
    corpus: TinyCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        BadInput, match=r"loop\.trackers asks for tensorboard, which is not installed; `pip install 'slu"
    ):
        pretrain(corpus.pretrain_config(tmp_path / "base", 1, trackers=["tensorboard"]))


def test_trackers_are_imported_only_when_asked_for() -> None:
    script = "import sys, model.pretrain; print('tensorboard' in sys.modules, 'wandb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"]
