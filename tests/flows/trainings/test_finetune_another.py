"""Finetuning a model that is there already, by its tokenizer and conversations: no crawl, no pretraining."""

import json
from pathlib import Path

import pytest

from tests.conftest import Sluice

RECIPE = """
name: mine
tokenizer: {path: theirs, vocab_size: 400}
sft:
  base: theirs
  conversations: chat.jsonl
  held_out_fraction: 0
  loop: {steps: 4, global_batch_size: 2}
"""


@pytest.mark.slow
def test_an_export_is_finetuned_and_exported_again(finished_store: Path, sluice: Sluice, tmp_path: Path) -> None:
    (tmp_path / "theirs").symlink_to(next(finished_store.glob("models/*/export")))
    turns = [{"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "A small model."}]
    (tmp_path / "chat.jsonl").write_text(f"{json.dumps({'messages': turns})}\n" * 4)
    (tmp_path / "mine.yaml").write_text(RECIPE)
    store = tmp_path / "store"
    sluice("finetune", str(tmp_path / "mine.yaml"), "--store", str(store))
    assert {path.name for path in (store / "datasets").iterdir()} == {"tokenizer", "sft", "evaluate", "export"}
    report = json.loads(next(store.glob("models/*/export/export_report.json")).read_text())
    assert report["own_max_difference"] == 0
    page = next(store.glob("reports/*.html")).read_text()
    assert "no crawl" in page and "No part of the extraction" not in page
    assert "Began as" in page and "conversations alone" in page
    sluice("export", str(tmp_path / "out"), "--store", str(store))
    assert "| base model | theirs |" in (tmp_path / "out" / "README.md").read_text()
