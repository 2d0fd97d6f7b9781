"""Reinforcement learning as a stage of a recipe, with a reward of the user's own."""

import json
import shutil
from pathlib import Path

import pytest

from flows.store.run_record import newest_runs
from flows.store.training_log import Training, read_training
from model.base.json_lines import logged_objects
from tasks.dataset.store import Store
from tests.conftest import Sluice, stage_statuses


@pytest.mark.slow
def test_the_finetuned_model_learns_from_rewards_and_is_evaluated_and_exported(
    prefect_server: str, sluice: Sluice, finished_store: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished_store, store)
    before = stage_statuses(prefect_server, store)
    (tmp_path / "mine.py").write_text("def terse(reply, prompt):\n    return -len(reply.text) / 100\n")
    section = {
        **{"prompts": "synthetic_web", "rewards": {"terse": 1, "answer": 1}, "max_new_tokens": 8, "group_size": 4},
        **{"held_out_prompts": 6, "loop": {"steps": 3, "global_batch_size": 16, "evaluate_every": 2}},
    }
    chosen = ("--set", f"rl={json.dumps(section)}", "--set", f"own_rewards=[{tmp_path}/mine.py:terse]")
    said = sluice("finetune", str(tiny_recipe), "--store", str(store), *chosen)
    assert "runs code of" in said.stdout + said.stderr
    stages = stage_statuses(prefect_server, store)
    assert stages["rl"]["state"] == "done"
    changed = [name for name in before if before[name]["fingerprint"] != stages[name]["fingerprint"]]
    assert changed == ["evaluate", "export"], "the model after rl is evaluated and exported"
    [record, *_] = newest_runs(Store(str(store)))
    summary = record.stages["rl"].summary
    assert summary is not None and summary["steps"] == 3 and summary["held_out_reward"] < 1
    assert summary["bits_per_byte"] > 0, "what it forgets of the corpus is measured too"
    assert isinstance(read_training(Store(str(store)), record, "rl"), Training)
    log = list(logged_objects((store / summary["model"] / "metrics.jsonl").read_text()))
    assert [line["step"] for line in log if line["event"] == "eval"] == [0, 2, 3]
    assert "Reinforcement learning" in (store / record.report).read_text()
    again = sluice("finetune", str(tiny_recipe), "--store", str(store), *chosen)
    assert again.returncode == 0 and stage_statuses(prefect_server, store) == stages
