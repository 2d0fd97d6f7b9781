"""A run that trains on what a model writes in it: pretraining, finetuning and preferences, with our own engine."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tasks.dataset.store import Store
from tests.conftest import TINY_RECIPE, Sluice, stage_statuses
from tests.model.parrot import SHAPE, scribbler_export
from tests.model.tiny_corpus import make_tiny_corpus
from tests.tasks.synthesis.synthesis_jobs import write_prompts


@pytest.mark.slow
def test_every_training_takes_its_synthetic_set_in_one_run(prefect_server: str, sluice: Sluice, tmp_path: Path) -> None:
    shape = dataclasses.replace(SHAPE, context=1024)
    export = scribbler_export(tmp_path / "export", make_tiny_corpus(tmp_path).tokenizer, "abcdefgh", shape)
    (tmp_path / "judge.py").write_text("def length(prompt, response):\n    return len(response)\n")
    tiny = yaml.safe_load(TINY_RECIPE)
    synthesis = {
        "generator": {"export": str(export), "temperature": 1.0, "max_tokens": 60},
        "output": {"min_chars": 1, "same_language": False, "max_repetition": 1.0},
        "rephrase": {"max_document_chars": 100},
        "backtranslate": {"max_document_chars": 100, "min_score": 1},
        "responses": {"prompts": write_prompts(tmp_path / "p.jsonl", [f"Say {n}." for n in range(12)]), "samples": 3},
        "pairs": {"judge": f"{tmp_path}/judge.py:length"},
    }
    recipe = tiny | {
        "synthetic_web": tiny["synthetic_web"] | {"warcs": 1},
        "synthesis": synthesis,
        "mixture": {"own": {"weight": 3}, "others": {"written": {"dataset": "rephrased", "weight": 1}}},
        "sft": tiny["sft"] | {"mixture": [{"conversations": name} for name in ("backtranslated", "responses")]},
        "preference": {"pairs": "preference_pairs", "loop": {"steps": 2, "global_batch_size": 2}},
        "evaluate": {"questions": "synthetic_web", "max_new_tokens": 8},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    store = tmp_path / "store"
    sluice("run", str(tmp_path / "recipe.yaml"), "--store", str(store))
    stages = stage_statuses(prefect_server, store)
    assert {stage["state"] for stage in stages.values()} == {"done"}

    def rows(name: str) -> list[dict[str, Any]]:
        return [
            row
            for part in sorted(Path(stages[name]["path"]).glob("*.parquet"))
            for row in pq.read_table(part).to_pylist()
        ]

    encoded = {row["id"] for row in rows("tokens")}
    written = {row["id"] for row in rows("rephrased")}
    assert written and written < encoded, "what was rephrased is encoded beside the corpus"
    counted = json.loads(
        Store(str(store)).read_bytes(f"datasets/packing/{stages['packing']['fingerprint']}.manifest.json")
    )
    assert counted["counters"]["drawn_documents.written"] > 0
    learnt = _facts(store, "sft")
    assert learnt["conversations"] > len(rows("backtranslated")) + len(rows("responses")) > 0
    assert _facts(store, "preference")["pairs"] == len(rows("preference_pairs")) > 0
    sluice("run", str(tmp_path / "recipe.yaml"), "--store", str(store))
    assert stage_statuses(prefect_server, store) == stages, "nothing is made again"


def _facts(store: Path, stage: str) -> dict[str, Any]:
    """What a training counted in its data."""
    (log,) = store.glob(f"models/*-{stage}-*/metrics.jsonl")
    return next(event for line in log.read_text().splitlines() if (event := json.loads(line))["event"] == "data")
