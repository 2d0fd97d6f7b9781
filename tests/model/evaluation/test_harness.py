"""lm-evaluation-harness, run by our command on the same model and the same files, measures our own numbers."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from model.evaluate import evaluate
from model.export import export
from model.pretrain import pretrain
from tests.conftest import ROOT
from tests.environments import environment_with
from tests.model.evaluation.asked_models import evaluation, shared_tasks, transformers_model
from tests.model.test_export import export_config
from tests.model.tiny_corpus import TinyCorpus

pytest.importorskip("transformers")

SHIPPED = ["general_knowledge", "completion"]
COMPARED = {"acc", "acc_norm", "perplexity", "exact_match"}


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("is_ours", "shots"), [(True, 0), (True, 2), (False, 0)], ids=["our export", "our export, two-shot", "a GPT-2"]
)
def test_the_harness_measures_our_numbers(is_ours: bool, shots: int, corpus: TinyCorpus, tmp_path: Path) -> None:
    python = environment_with("harness", ["lm_eval==0.4.13"], with_ours=True)
    if is_ours:
        assert pretrain(corpus.pretrain_config(tmp_path / "base", 60)) == 0
        assert export(export_config(corpus, tmp_path / "base", tmp_path / "export")) == 0
    model = tmp_path / "export" if is_ours else transformers_model(corpus, tmp_path / "gpt2")
    tasks = shared_tasks(corpus, tmp_path / "tasks") + ([] if shots else SHIPPED)
    assert evaluate(evaluation(tmp_path, model, tasks, shots=[shots])) == 0
    command = [str(python), "-m", "model.harness", f"--model={model}", f"--tasks={','.join(tasks)}", f"--shots={shots}"]
    environment = os.environ | {"HF_HOME": str(tmp_path / "hf"), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command.append(f"--output={tmp_path / 'harness.json'}")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    theirs = json.loads((tmp_path / "harness.json").read_text())
    compared = 0
    for result in json.loads((tmp_path / "result.json").read_text())["tasks"]:
        for metric in result["metrics"]:
            if metric["metric"] in COMPARED and (name := f"{metric['metric']},none") in theirs[result["task"]]:
                assert theirs[result["task"]][name] == pytest.approx(metric["value"], rel=1e-4), (result["task"], name)
                compared += 1
            elif metric["metric"] == "exact_match":
                assert theirs[result["task"]]["exact_match,word"] == metric["value"]
                compared += 1
    assert compared == (5 if shots else 9)
