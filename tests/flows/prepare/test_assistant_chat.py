"""A recipe with an assistant: what it is taught and asked beside what the recipe names, and what that needs."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from flows.prepare.planned_run import PlannedRun, plan_run
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from tests.conftest import TINY_RECIPE

TINY = yaml.safe_load(TINY_RECIPE)
ASSISTANT = {"name": "Ada", "tools": ["calculator"], "examples": 20}


def planned(folder: Path, **sections: Any) -> PlannedRun:
    """The tiny recipe with these sections, planned."""
    settings = RunSettings(store=str(folder))
    return plan_run(Recipe.model_validate(TINY | sections), settings, False, logging.getLogger())


def test_its_conversations_and_questions_come_after_those_that_the_recipe_names(tmp_path: Path) -> None:
    before, run = planned(tmp_path), planned(tmp_path, assistant=ASSISTANT)
    for kind in ("conversations", "questions"):
        alone, joined = (one.chat[kind].read_text().splitlines() for one in (before, run))
        assert joined[: len(alone)] == alone
        assert any("Ada" in line for line in joined[len(alone) :])
    assert before.plans["sft"].fingerprint != run.plans["sft"].fingerprint
    assert before.plans["pretrain"].config == run.plans["pretrain"].config
    again = planned(tmp_path, assistant=ASSISTANT)
    assert again.plans == run.plans


def test_its_tools_have_tokens_and_are_there_in_the_evaluation(tmp_path: Path) -> None:
    run = planned(tmp_path, assistant=ASSISTANT)
    assert run.recipe.tokenizer and run.recipe.tokenizer.tools
    assert run.plans["evaluate"].config["tools"] == ["calculator"]
    asked = [json.loads(line) for line in run.chat["questions"].read_text().splitlines()]
    assert sum(row.get("tools", False) for row in asked) == 30


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ({"tokenizer": {"tools": False}}, "assistant.tools needs tokenizer.tools"),
        ({"assistant": ASSISTANT | {"tools": ["browser"]}}, "assistant.tools.0"),
        ({"assistant": {"name": ""}}, "assistant.name"),
    ],
)
def test_an_assistant_that_the_recipe_cannot_make_is_refused(sections: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Recipe.model_validate(TINY | {"assistant": ASSISTANT} | sections)


def test_an_assistant_needs_finetuning_but_may_stand_by_where_it_is_turned_off(tmp_path: Path) -> None:
    without = {name: value for name, value in TINY.items() if name != "sft"}
    with pytest.raises(ValidationError, match="assistant needs a sft section"):
        Recipe.model_validate(without | {"assistant": ASSISTANT})
    run = planned(tmp_path, assistant=ASSISTANT, sft=None)
    assert "tools" not in run.chat["questions"].read_text(), "only what a pretrained model is asked too"
