"""lm-evaluation-harness, run by our command on the same model and the same files, measures our own numbers."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from model.evaluate import evaluate
from model.evaluation.tasks.task import task_path
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


def harness_results(python: Path, model: Path, tasks: str, folder: Path, *options: str) -> Any:
    """What the harness makes of tasks, by our command in a Python that has it."""
    command = [str(python), "-m", "model.harness", f"--model={model}", f"--tasks={tasks}", *options]
    environment = os.environ | {"HF_HOME": str(folder / "hf"), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command.append(f"--output={folder / 'harness.json'}")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "harness.json").read_text())


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
    theirs = harness_results(python, model, ",".join(tasks), tmp_path, f"--shots={shots}")
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


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_standard_suite_reads_its_data_from_a_folder(corpus: TinyCorpus, tmp_path: Path) -> None:
    """ARC-Easy as the harness defines it, on our own items in its layout: its prompt is that of our task."""
    python = environment_with("harness", ["lm_eval==0.4.13"], with_ours=True)
    model = transformers_model(corpus, tmp_path / "gpt2")
    items = [json.loads(line) for line in task_path("general_knowledge").with_suffix(".jsonl").read_text().splitlines()]
    rows = [
        {
            "id": str(number),
            "question": item["question"],
            "choices": {"text": item["choices"], "label": list("ABCD")},
            "answerKey": "ABCD"[item["choices"].index(item["answer"])],
        }
        for number, item in enumerate(items)
    ]
    data = tmp_path / "datasets" / "allenai" / "ai2_arc"
    (data / "ARC-Easy").mkdir(parents=True)
    for split in ("train", "validation", "test"):
        pq.write_table(pa.Table.from_pylist(rows), data / "ARC-Easy" / f"{split}-00000-of-00001.parquet")
    files = [{"split": split, "path": f"ARC-Easy/{split}-*"} for split in ("train", "validation", "test")]
    card = yaml.safe_dump({"configs": [{"config_name": "ARC-Easy", "data_files": files}]})
    (data / "README.md").write_text(f"---\n{card}---\n")
    found = harness_results(python, model, "arc_easy", tmp_path, f"--data={tmp_path / 'datasets'}")["arc_easy"]
    assert evaluate(evaluation(tmp_path, model, ["general_knowledge"])) == 0
    (ours,) = json.loads((tmp_path / "result.json").read_text())["tasks"]
    values = {metric["metric"]: metric["value"] for metric in ours["metrics"]}
    assert found["sample_len"] == len(items) == ours["items"]
    assert found["acc,none"] == pytest.approx(values["acc"]) and found["acc_norm,none"] == pytest.approx(
        values["acc_norm"]
    )
