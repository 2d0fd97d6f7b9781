"""The whole way on a tiny synthetic web: every stage real, every count adding up, every claim of the store checked."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from flows.stages.registry import STAGES
from flows.stages.search_index import search_index
from flows.store.exported_model import exporting_run
from flows.store.span_index import span_index
from model.data.chat_format import load_chat_format
from model.span_index.search import SpanIndex
from model.tools.search import SearchIndex, passages
from tasks.dataset.store import Store
from tasks.registry import STAGES as DATA_STAGES
from tests.conftest import Sluice, dataset_bytes, stage_statuses


@pytest.fixture(scope="module")
def stages(prefect_server: str, finished_store: Path) -> dict[str, dict[str, Any]]:
    return stage_statuses(prefect_server, finished_store)


def rows(stages: dict[str, dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [
        row for part in sorted(Path(stages[name]["path"]).glob("*.parquet")) for row in pq.read_table(part).to_pylist()
    ]


def decisions(store: Path, stages: dict[str, dict[str, Any]], name: str) -> list[dict[str, Any]]:
    folder = store / "decisions" / name / stages[name]["fingerprint"]
    return [row for part in sorted(folder.glob("*.parquet")) for row in pq.read_table(part).to_pylist()]


def test_every_stage_of_the_recipe_is_done(stages: dict[str, dict[str, Any]]) -> None:
    left_out = {
        "selection",
        "wanted",
        "classifiers",
        "scores",
        "thresholds",
        "compression",
        "rephrased",
        "backtranslated",
        "responses",
        "preference_pairs",
        "ladder",
        "tune",
        "preference",
        "rl",
    }
    assert list(stages) == [name for name in STAGES if name not in left_out]
    assert {stage["state"] for stage in stages.values()} == {"done"}
    assert stages["fetch"]["parts_done"] == stages["corpus"]["parts_done"] == stages["corpus"]["parts_expected"] == 3


def test_no_record_disappears(finished_store: Path, stages: dict[str, dict[str, Any]]) -> None:
    """Each record read is a document or a decision with reasons, at every stage."""
    known = json.loads((finished_store / "synthetic_web" / "synthetic_web.json").read_text())["records"]
    read = decisions(finished_store, stages, "extract")
    assert len(read) == known == len({row["id"] for row in read})
    for before, after in (("extract", "filter"), ("filter", "corpus")):
        decided = decisions(finished_store, stages, after)
        assert [row["id"] for row in decided] == [row["id"] for row in rows(stages, before)]
    for name in ("extract", "filter", "corpus"):
        decided = decisions(finished_store, stages, name)
        assert [row["id"] for row in decided if row["kept"]] == [row["id"] for row in rows(stages, name)]
        assert all(row["kept"] == (row["reasons"] == []) for row in decided)
        assert any(not row["kept"] for row in decided)


def test_every_document_is_encoded_and_every_training_token_is_a_target_once(
    stages: dict[str, dict[str, Any]],
) -> None:
    documents, tokens = rows(stages, "corpus"), rows(stages, "tokens")
    assert [row["id"] for row in tokens] == [row["id"] for row in documents]
    assert [row["n_bytes"] for row in tokens] == [len(row["text"].encode()) for row in documents]
    splits = {row["split"] for row in tokens}
    assert splits == {"train", "validation"}
    segments = [segment for row in rows(stages, "packing") for segment in row["segments"]]
    targets = sum(segment["length"] - 1 for segment in segments)
    assert targets == sum(len(row["tokens"]) - 1 for row in tokens if row["split"] == "train")


def test_the_losses_fall_and_the_held_out_text_is_scored(
    finished_store: Path, stages: dict[str, dict[str, Any]]
) -> None:
    summary = json.loads(rows(stages, "pretrain")[0]["summary"])
    log = (finished_store / summary["model"] / "metrics.jsonl").read_text().splitlines()
    losses = [event["loss"] for event in map(json.loads, log) if event["event"] == "step"]
    assert summary["steps"] == len(losses) == 12
    assert summary["last_loss"] == losses[-1] < losses[0]
    evaluation = json.loads(rows(stages, "evaluate")[0]["summary"])
    assert evaluation["validation"]["bits_per_byte"] > 0 and evaluation["validation"]["unigram_bits_per_byte"] > 0
    assert evaluation["questions"]["held_out"]["n"] == 6
    assert [(task["task"], task["shots"]) for task in evaluation["tasks"]] == [
        *(("completion", 0), ("completion", 1), ("cloze", 0), ("cloze", 1))
    ]
    assert len(list(finished_store.glob("models/*/evaluation-*/items.parquet"))) == 1
    validation = evaluation["validation"]
    for kind in ("domain", "language"):
        groups = [group for group in validation["groups"] if group["kind"] == kind]
        assert sum(group["documents"] for group in groups) == validation["documents"]
        assert sum(group["text_bytes"] for group in groups) == validation["text_bytes"]
    assert "en" in [group["name"] for group in groups]


def test_transformers_loads_the_export_and_agrees(finished_store: Path, stages: dict[str, dict[str, Any]]) -> None:
    folder = finished_store / json.loads(rows(stages, "export")[0]["summary"])["folder"]
    report = json.loads((folder / "export_report.json").read_text())
    assert report["transformers_max_difference"] <= 1e-4
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    assert type(model).__name__ == "Qwen3ForCausalLM"
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello"}], add_generation_prompt=True, tokenize=False
    )
    assert prompt == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    logits = model(torch.tensor([tokenizer(prompt)["input_ids"]])).logits
    assert np.isfinite(logits.detach().numpy()).all()


def test_a_second_run_finds_everything_done(sluice: Sluice, finished_store: Path, tiny_recipe: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (finished_store / "datasets").rglob("*.parquet")}
    done = sluice("run", str(tiny_recipe), "--store", str(finished_store), "--json")
    record = json.loads(done.stdout)
    assert record["state"] == "completed"
    reports = sorted((finished_store / "reports").glob("*.html"))
    assert reports[-1].stem == record["run"]
    assert reports[-1].read_bytes() == reports[-2].read_bytes(), "nothing new is told anew"
    assert {path: path.stat().st_mtime_ns for path in (finished_store / "datasets").rglob("*.parquet")} == before


def test_the_model_answers(sluice: Sluice, finished_store: Path) -> None:
    first = sluice("chat", "Hello!", "--store", str(finished_store), "--max-new-tokens", "5")
    assert first.stdout == sluice("chat", "Hello!", "--store", str(finished_store), "--max-new-tokens", "5").stdout
    drawn = sluice(
        "generate", "The town", "--store", str(finished_store), "--temperature", "1", "--max-new-tokens", "5"
    )
    assert drawn.stdout.startswith("The town")


def test_a_document_is_found_as_the_source_of_its_words(
    finished_store: Path, stages: dict[str, dict[str, Any]]
) -> None:
    store = Store(str(finished_store))
    run, folder = exporting_run(store)
    model, told = finished_store / folder, list[str]()
    index = SpanIndex(span_index(store, run, model, told.append))
    documents = rows(stages, "corpus")
    assert index.documents == len(documents) and told == [f"Building the index of {len(documents)} documents ..."]
    words = load_chat_format(model / "tokenizer.json").encode(documents[-1]["text"])[:60]
    assert documents[-1]["id"] in [found.page.id for found in index.search(words, 6, 20)]
    assert span_index(store, run, model, told.append) and len(told) == 1, "built once"


@pytest.mark.slow
def test_the_corpus_is_the_same_bytes_on_one_worker(
    sluice: Sluice, finished_store: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    sluice("corpus", str(tiny_recipe), "--store", str(tmp_path / "one"), "--workers", "1")
    assert dataset_bytes(tmp_path / "one", *DATA_STAGES) == dataset_bytes(finished_store, *DATA_STAGES)


def test_each_run_has_a_report_that_asks_for_nothing_else(finished_store: Path) -> None:
    runs = {path.stem for path in (finished_store / "runs").glob("*.json")}
    assert {path.stem for path in (finished_store / "reports").glob("*.html")} == runs
    text = (finished_store / "reports" / f"{min(runs)}.html").read_text()
    assert "All counts add up" in text or "nothing disappeared" in text.lower()
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text)


def test_a_document_is_found_by_its_words(finished_store: Path, stages: dict[str, dict[str, Any]]) -> None:
    store, told = Store(str(finished_store)), list[str]()
    corpus = exporting_run(store)[0].stages["corpus"].plan.fingerprint
    index = SearchIndex(search_index(store, finished_store, corpus, told.append))
    texts = {row["id"]: row["text"] for row in rows(stages, "corpus")}
    document, text = next(iter(texts.items()))
    passage = next(passages(document, "", text)).text
    found = index.search(passage, 3)
    assert passage in [one.text for one in found]
    assert all(one.document in texts for one in found)
    assert search_index(store, finished_store, corpus, told.append) and len(told) == 1, "built once"
