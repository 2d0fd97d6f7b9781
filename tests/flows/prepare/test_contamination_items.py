"""Evaluation items reach the store by their content, are found in the corpus, and name the pages that hold them."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.evaluated_corpus.contaminated_items import contaminated_items
from flows.prepare.contamination_items import pin_contamination
from flows.recipe.recipe import Recipe
from tasks.base.errors import UsageError
from tasks.dataset.store import Store
from tests.flows.report_stores import RECIPE, crawl

WORDS = 30


def test_a_page_that_holds_an_item_is_named(tmp_path: Path) -> None:
    plain = crawl(tmp_path / "plain", {})
    folder = tmp_path / "plain" / plain.stages["corpus"].plan.folder
    rows = [row for part in sorted(folder.glob("*.parquet")) for row in pq.read_table(part).to_pylist()]
    page = next(row for row in rows if len(row["text"].split()) > 2 * WORDS)
    asked = " ".join(page["text"].split()[:WORDS])
    items = [
        {"question": "Who rules the moon of cheese and silver?", "answer": "Nobody"},
        {"question": asked, "answer": ""},
    ]
    (tmp_path / "quiz.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (tmp_path / "quiz.yaml").write_text('doc_to_text: "Q: {{question}} A:"\ndoc_to_target: answer\n')
    recipe = Recipe.model_validate(RECIPE | {"contamination": {"tasks": [str(tmp_path / "quiz.yaml")]}})
    store = Store(str(tmp_path / "searched"))
    pinned = pin_contamination(recipe, store).contamination
    assert pinned is not None and pinned.items is not None
    record = crawl(tmp_path / "searched", {"contamination": pinned.model_dump()})
    found = contaminated_items(store, record.stages["corpus"].plan.fingerprint)
    assert list(found) == ["quiz/1"] and page["url"] in found["quiz/1"]


def test_no_task_to_look_for_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name the tasks"):
        pin_contamination(Recipe.model_validate(RECIPE | {"contamination": {}}), Store(str(tmp_path)))
    wrong = Recipe.model_validate(RECIPE | {"contamination": {"tasks": ["arithmetics"]}})
    with pytest.raises(UsageError, match=r"contamination\.tasks.*did you mean 'arithmetic'"):
        pin_contamination(wrong, Store(str(tmp_path)))
