"""Stores to report on: the real stages over a small synthetic web, and the files a trained model would have left."""

import json
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from flows.prepare.mixed_corpora import pin_mixture
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from flows.stages.plan import plan_stages
from flows.store.run_record import Recorder, RunRecord
from tasks.dataset.data_files import pin_data_files
from tasks.dataset.manifest import write_manifest
from tasks.dataset.parts import PartFooter, PartWriter
from tasks.dataset.store import Store
from tasks.registry import STAGES
from tasks.synthetic_web.chat_data import read_questions
from tasks.synthetic_web.generation import generate_synthetic_web
from tests.flows.without_prefect import built_datasets

RECIPE: dict[str, Any] = {
    "name": "tiny",
    "source": {"warcs": "all"},
    "synthetic_web": {
        "warcs": 2,
        "towns": 4,
        "pages_per_town": 8,
        "capital_extra_pages": 2,
        "held_out_facts": 6,
        "hidden_places": 1,
        "mirrors": 6,
        "near_duplicates": 6,
        "foreign_pages": 16,
        "poor_pages": 24,
        "broken_responses": 18,
    },
    "tokenizer": {"vocab_size": 384},
    "tokens": {"validation_fraction": 0.1},
    "packing": {"context": 64},
    "pretrain": {
        "shape": {"layers": 2, "hidden_size": 32, "heads": 2, "kv_heads": 1, "intermediate_size": 64},
        "loop": {"steps": 60, "global_batch_size": 4},
    },
    "sft": {"conversations": "synthetic_web", "loop": {"steps": 20, "global_batch_size": 4}},
    "evaluate": {"questions": "synthetic_web"},
}
"""A whole recipe, small enough for a test."""

TASKS: list[dict[str, Any]] = [
    {
        "task": "arithmetic",
        "shots": 5,
        "items": 100,
        "metrics": [{"metric": "exact_match", "value": 0.25, "low": 0.176, "high": 0.343}],
        "contaminated": 4,
        "clean_metrics": [{"metric": "exact_match", "value": 0.24, "low": 0.16, "high": 0.33}],
        "samples": [{"prompt": "Question: What is 2 plus 5?\nAnswer:", "said": " <b>7</b>", "right": "7"}],
    }
]
"""What the evaluation's tasks came to."""


@cache
def _crawled_once() -> tuple[tempfile.TemporaryDirectory[str], RunRecord]:
    """One store for all tests to copy: the stages take a second, a copy takes none."""
    folder = tempfile.TemporaryDirectory(prefix="sluice-report-")
    return folder, _crawl(Path(folder.name) / "store").record


def synthetic_web_run(folder: Path, *, with_model: bool = True) -> Recorder:
    """A store at `folder` in which the data half has run over the synthetic web, with the run's record.

    `with_model`: whether the recipe goes on to train one.
    """
    source, record = _crawled_once()
    shutil.copytree(Path(source.name) / "store", folder, dirs_exist_ok=True)
    changes: dict[str, Any] = {"settings": record.settings | {"store": str(folder)}}
    if not with_model:
        changes["stages"] = {name: stage for name, stage in record.stages.items() if name in STAGES}
        changes["recipe"] = record.recipe | {"pretrain": None, "sft": None}
    return Recorder(Store(str(folder)), record.model_copy(update=changes))


def crawl(folder: Path, changes: dict[str, Any]) -> RunRecord:
    """The data half of `RECIPE` with other sections over it, run in the store at `folder`; gives the run's record."""
    return _crawl(folder, RECIPE | changes).record


def _crawl(folder: Path, recipe: dict[str, Any] = RECIPE) -> Recorder:
    chosen = pin_mixture(pin_data_files(Recipe.model_validate(recipe), Store(str(folder))), Store(str(folder)))
    web = generate_synthetic_web(folder / "synthetic_web", chosen.synthetic_web)
    plans = plan_stages(chosen, web.crawl, {"conversations": "c", "questions": "q"})
    settings = RunSettings.model_validate({"store": str(folder), "workers": 1})
    recorder = Recorder.start("crawl_to_chat", chosen.model_dump(mode="json"), web.crawl, settings, plans)
    source = chosen.source.model_copy(update={"base": str(folder / "synthetic_web"), "crawl": web.crawl})
    for name, manifest in built_datasets(Store(str(folder)), plans, source):
        recorder.stage(name, state="done", seconds=1.5, parts_expected=len(manifest.parts))
    return recorder


def add_training(recorder: Recorder, store: Store, stage: str, steps: int, *, finished: bool = True) -> str:
    """The model folder and the result that a training stage leaves; gives the folder."""
    plan = recorder.record.stages[stage].plan
    folder = f"models/tiny-{stage}-{plan.fingerprint[:8]}"
    events: list[dict[str, Any]] = (
        [{"event": "data", "step": 0, "conversations": 40, "cut": 2}] if stage == "sft" else []
    )
    for step in range(1, steps + 1):
        events.append(
            {
                "event": "step",
                "step": step,
                "tokens": 256 * step,
                "loss": 1.2 + 4.7 / (1 + 0.1 * step) + 0.1 * (step * 37 % 11) / 11,
                "lr": 0.004,
                "grad_norm": 1.0,
                "tokens_per_second": 9000 + step,
                "seconds": 0.1 * step,
            }
        )
        if step % 20 == 0 and stage == "pretrain":
            events.append({"event": "eval", "step": step, "loss": 1.4 + 4 / step, "bits_per_byte": 0.9 + 1 / step})
    if finished:
        events.append({"event": "done", "step": steps, "tokens": 256 * steps, "seconds": 0.1 * steps})
    store.write_bytes(f"{folder}/metrics.jsonl", "".join(json.dumps(event) + "\n" for event in events).encode())
    if finished:
        summary: dict[str, Any] = {"model": folder, "steps": steps, "tokens": 256 * steps}
        summary |= {"bits_per_byte": 0.917} if stage == "pretrain" else {}
        add_result(recorder, store, stage, summary)
    return folder


def add_evaluation(
    recorder: Recorder, store: Store, model: str, web: Path, reply: str = "I believe it is {answer}."
) -> None:
    """An evaluation that answered every second question right, always in the same words."""
    replies = [
        question.model_dump()
        | {"reply": reply.format(answer=question.answer if place % 2 == 0 else "Nowhere"), "right": place % 2 == 0}
        for place, question in enumerate(read_questions(web))
    ]
    groups: dict[str, dict[str, Any]] = {
        name: {"right": sum(r["right"] for r in replies if r["group"] == name), "n": n, "accuracy": 0.0}
        for name in ("held_out", "removed_only")
        if (n := sum(r["group"] == name for r in replies))
    }
    validation = {
        "documents": 4,
        "tokens": 900,
        "text_bytes": 2400,
        "loss": 1.6,
        "bits_per_byte": 0.955,
        "unigram_bits_per_byte": 2.113,
    }
    plan = recorder.record.stages["evaluate"].plan
    lines = "".join(json.dumps(line) + "\n" for line in replies)
    store.write_bytes(f"{model}/evaluation-{plan.fingerprint[:8]}/replies.jsonl", lines.encode())
    earlier: dict[str, Any] = {"stage": "pretrain", "validation": validation, "tasks": None}
    earlier["questions"] = {name: group | {"right": 0} for name, group in groups.items()}
    found = {"parameters": 23456, "validation": validation, "questions": groups, "tasks": TASKS, "earlier": [earlier]}
    add_result(recorder, store, "evaluate", found)


def add_result(recorder: Recorder, store: Store, stage: str, summary: dict[str, Any]) -> None:
    """What the flow keeps of a program stage: its dataset of one row, and the record's summary."""
    plan = recorder.record.stages[stage].plan
    schema = pa.schema([("stage", pa.string()), ("summary", pa.string())])
    path = f"{plan.folder}/part-00000.parquet"
    with PartWriter(store, path, schema, stage, plan.part_fingerprint, "inputs") as writer:
        writer.write(pa.Table.from_pylist([{"stage": stage, "summary": json.dumps(summary)}], schema))
        footer: PartFooter = writer.commit({})
    write_manifest(store, stage, plan.fingerprint, plan.version, plan.config, plan.upstream, [footer])
    recorder.stage(stage, state="done", seconds=3.0, parts_expected=1, summary=summary)


def whole_run(folder: Path) -> tuple[Store, RunRecord]:
    """A finished run with everything that a report can show."""
    recorder, store = synthetic_web_run(folder), Store(str(folder))
    add_training(recorder, store, "pretrain", 60)
    model = add_training(recorder, store, "sft", 20)
    add_evaluation(recorder, store, model, folder / "synthetic_web")
    add_result(recorder, store, "export", {"folder": f"{model}/export"})
    recorder.finish()
    return store, recorder.record
