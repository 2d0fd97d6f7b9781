"""Synthetic data in a training: planned as what it is built on, written as the file that it reads."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from flows.prepare.planned_run import PlannedRun, plan_run
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from flows.stages.program import ProgramContext
from flows.stages.registry import PROGRAMS
from flows.stages.synthetic_chat import write_synthetic_chat
from model.data.conversations import read_conversations
from tasks.dataset.manifest import part_path, write_manifest
from tasks.dataset.parts import PartWriter
from tasks.synthesis.rows import CONVERSATIONS
from tests.conftest import TINY_RECIPE
from tests.tasks.synthesis.endpoint_server import endpoint
from tests.tasks.synthesis.synthesis_jobs import built, job, write_corpus

TINY = yaml.safe_load(TINY_RECIPE)
MIXED = TINY["sft"] | {"mixture": [{"conversations": "backtranslated"}]}


def planned(folder: Path, **sections: Any) -> PlannedRun:
    """The tiny recipe with these sections, planned."""
    settings = RunSettings(store=str(folder))
    return plan_run(Recipe.model_validate(TINY | sections), settings, False, logging.getLogger())


def test_finetuning_builds_on_the_sets_that_it_names(tmp_path: Path) -> None:
    before = planned(tmp_path)
    run = planned(tmp_path, sft=MIXED, synthesis={"backtranslate": {}})
    assert "backtranslated" not in before.plans
    assert run.plans["sft"].upstream["backtranslated"] == run.plans["backtranslated"].fingerprint
    other = planned(tmp_path, sft=MIXED, synthesis={"backtranslate": {"min_score": 3}})
    assert other.plans["sft"].fingerprint != run.plans["sft"].fingerprint
    paced = planned(tmp_path, sft=MIXED, synthesis={"backtranslate": {}, "requests": {"max_requests": 9}})
    assert paced.plans["sft"].fingerprint == run.plans["sft"].fingerprint, "what is spent changes nothing"
    assert list(run.chat) == list(before.chat)


def test_preference_finetuning_builds_on_pairs(tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Hello there?"}\n')
    synthesis = {"responses": {"prompts": str(tmp_path / "prompts.jsonl"), "samples": 2}, "pairs": {}}
    preference = {"pairs": "preference_pairs", "loop": TINY["sft"]["loop"]}
    run = planned(tmp_path / "store", synthesis=synthesis, preference=preference)
    assert run.plans["preference"].upstream["preference_pairs"] == run.plans["preference_pairs"].fingerprint


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ({"sft": MIXED}, "needs a section synthesis.backtranslate"),
        ({"sft": MIXED, "synthesis": {"rephrase": {}}}, "needs a section synthesis.backtranslate"),
        ({"synthesis": {"pairs": {}}}, "pairs needs responses"),
        (
            {
                "assistant": {},
                "sft": TINY["sft"] | {"conversations": "backtranslated"},
                "synthesis": {"backtranslate": {}},
            },
            "in sft.mixture",
        ),
    ],
)
def test_sets_that_nothing_makes_are_refused(sections: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Recipe.model_validate(TINY | sections)


def test_a_dataset_becomes_the_file_that_finetuning_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = write_corpus(tmp_path, parts=1)
    with endpoint() as server:
        monkeypatch.setenv("SLUICE_GENERATOR_URL", server.url)
        part = job(store, "backtranslated", {"backtranslate": {"min_score": 4}})
        rows, _, footer = built(store, part)
    write_manifest(store, "backtranslated", part.fingerprint, 1, {}, {}, [footer])
    path = write_synthetic_chat(store, "backtranslated", part.fingerprint, tmp_path)
    assert len(read_conversations(path)) == len(rows) == 12
    assert json.loads(path.read_text().splitlines()[0])["id"] == rows[0]["id"]


def test_of_equal_instructions_in_several_parts_the_first_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_corpus(tmp_path)
    with endpoint() as server:
        monkeypatch.setenv("SLUICE_GENERATOR_URL", server.url)
        server.script = lambda number, body: "same"
        parts = [job(store, "backtranslated", {"backtranslate": {"min_score": 1}}, index) for index in range(2)]
        made = [built(store, part) for part in parts]
    assert [len(rows) for rows, _, _ in made] == [1, 1]
    fingerprint = parts[0].fingerprint
    write_manifest(store, "backtranslated", fingerprint, 1, {}, {}, [footer for _, _, footer in made])
    path = write_synthetic_chat(store, "backtranslated", fingerprint, tmp_path)
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == [made[0][0][0]["id"]]


def test_a_set_of_which_nothing_is_kept_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_GENERATOR_URL", "http://127.0.0.1:9/v1")
    run = planned(tmp_path, sft=MIXED, synthesis={"optional": True, "backtranslate": {}})
    plan, fingerprint = run.plans["sft"], run.plans["backtranslated"].fingerprint
    context = ProgramContext(plan, run.plans, "tiny", run.store, tmp_path, run.chat)
    mixed = {}
    for rows in (0, 3):
        with PartWriter(run.store, part_path("backtranslated", fingerprint, 0), CONVERSATIONS, "b", "f", "i") as writer:
            writer.write(CONVERSATIONS.empty_table())
            footer = replace(writer.commit({}), rows=rows)
        write_manifest(run.store, "backtranslated", fingerprint, 1, {}, {}, [footer])
        mixed[rows] = len(PROGRAMS["sft"].program_config(context)["mixture"])
    assert mixed == {0: 0, 3: 1}


def test_optional_sets_are_made_where_a_generator_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    optional = {"sft": MIXED, "synthesis": {"optional": True, "backtranslate": {}}}
    monkeypatch.delenv("SLUICE_GENERATOR_URL", raising=False)
    without = planned(tmp_path, **optional)
    assert "No generator is named" in caplog.text and "backtranslated" not in without.plans
    assert without.plans["sft"].fingerprint == planned(tmp_path).plans["sft"].fingerprint
    monkeypatch.setenv("SLUICE_GENERATOR_URL", "http://127.0.0.1:9/v1")
    assert "backtranslated" in planned(tmp_path, **optional).plans["sft"].upstream
    with pytest.raises(ValidationError, match="cannot do without `backtranslated`"):
        Recipe.model_validate(TINY | optional | {"sft": TINY["sft"] | {"conversations": "backtranslated"}})
