"""The user's own code that a recipe names: which fields do, whether it may run, and a check when the recipe is read.

Notable: a recipe is data, and may be anybody's. Code is taken only from files of this machine that a recipe of this
machine names (or `--set` does), both of this user or of root; `SLUICE_ALLOW_CODE=1` says that any recipe may name some.
"""

import os
import re
from typing import Any

import pyarrow as pa

from flows.recipe.recipe import Recipe
from flows.recipe.recipe_file import RecipeError
from tasks.base.errors import UsageError
from tasks.dataset.marked_fields import with_marked_replaced
from tasks.dataset.schemas import DOCUMENTS
from tasks.dataset.stage import Stage
from tasks.filter.config import filter_rules
from tasks.filter.own_rules import own_signals
from tasks.filter.profiles import SIGNALS
from tasks.own_code.named_code import NamesCode, code_file, code_place, is_code, is_pinned, load, pinned

_ALLOW = "SLUICE_ALLOW_CODE"
_REPLACEABLE = ("extract", "filter")
"""The stages whose documents the next ones may read from a stage of the user's own instead."""
_ALWAYS = ("id", "language", "language_score")


def own_code(recipe: Recipe) -> list[tuple[str, str]]:
    """Return (field, name) of all code that a recipe names."""
    found: list[tuple[str, str]] = []

    def note(field: str, value: str) -> str:
        if is_code(value):
            found.append((field, value))
        return value

    with_marked_replaced(recipe, NamesCode, note)
    return found


def check_own_code(recipe: Recipe, where: str, is_local: bool) -> None:
    """Run the code that a recipe names and check its interfaces; `is_local`: the recipe is of this machine.

    Raises RecipeError for code that may not run, or is not what its field takes.
    """
    named = own_code(recipe)
    if not named:
        return
    allowed = os.environ.get(_ALLOW) == "1"
    for field, value in named:
        if is_pinned(value) or not (is_local or allowed):
            raise RecipeError(
                f"The recipe {where} names code to run ({field}: {value.partition(chr(10))[0]}), and is no file of"
                f" this machine: read it, then save recipe and code here, or set {_ALLOW}=1 where you trust it."
            )
    try:
        for field, value in named:
            _refuse_other_owner(field, value, allowed)
        _check(recipe)
    except UsageError as error:
        raise RecipeError(f"The recipe {where} is wrong:\n  {error}") from error


def pin_own_code(recipe: Recipe) -> Recipe:
    """Return the recipe with the source of its own code in place of the names alone."""
    return with_marked_replaced(recipe, NamesCode, lambda _, value: pinned(value) if is_code(value) else value)


def _check(recipe: Recipe) -> None:
    signals = own_signals(recipe.filter)
    if taken := sorted(signals.keys() & {*SIGNALS, *_ALWAYS, "stage", "kept", "reasons"}):
        raise UsageError(f"filter.signals: {', '.join(taken)} is measured already: give yours another name.")
    rules = filter_rules(recipe.filter)
    names = [rule.name for rule in rules]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"filter.rules: there are two rules called {', '.join(twice)}: give yours another name.")
    there = {*SIGNALS, *signals, *_ALWAYS}
    for rule in rules:
        if missing := sorted(set(rule.columns) - there):
            raise UsageError(
                f"filter.rules: {rule.name} reads {', '.join(missing)}, which is no signal: see filter.signals."
            )
    if unknown := sorted(recipe.filter.thresholds.keys() - set(names)):
        raise UsageError(
            f"filter.thresholds: {', '.join(unknown)} is no rule of the chosen profiles, nor one of yours."
        )
    if is_code(recipe.extract.extractor) and not callable(load(recipe.extract.extractor)):
        raise UsageError("extract.extractor must be a function that takes a page's HTML and its address.")
    if recipe.source.reader and not callable(load(recipe.source.reader)):
        raise UsageError("source.reader must be a function that takes an open file and its name, and yields documents.")
    for value in recipe.own_rewards:
        if not callable(load(value)):
            raise UsageError(f"own_rewards: {value.partition(chr(10))[0]} must be a function (reply, prompt).")
    for value in recipe.stages:
        _check_stage(value.partition("\n")[0], load(value))
    own = [load(value).name for value in recipe.stages]
    if twice := sorted({name for name in own if own.count(name) > 1}):
        raise UsageError(f"stages: there are two called {', '.join(twice)}: give one another name.")


def _check_stage(where: str, stage: Any) -> None:
    from tasks.registry import STAGES  # all that the stages need; most recipes name no code

    if not isinstance(stage, Stage):
        raise UsageError(f"stages: {where} is no Stage of tasks.dataset.stage.")
    if stage.name in STAGES or not re.fullmatch("[a-z][a-z0-9_]{0,40}", stage.name):
        raise UsageError(f"stages: {where}: {stage.name!r} cannot be its name: take lower-case letters, one not taken.")
    if unknown := [upstream.stage for upstream in stage.upstream if upstream.stage not in STAGES]:
        raise UsageError(f"stages: {where} builds on {', '.join(unknown)}; there are: {', '.join(STAGES)}.")
    if stage.runs_with or not stage.upstream:
        raise UsageError(f"stages: {where} must build on the datasets of other stages, and run on its own.")
    if stage.in_place_of is None:
        return
    if stage.in_place_of not in _REPLACEABLE or stage.mapped != stage.in_place_of:
        raise UsageError(
            f"stages: {where}: a stage stands in_place_of {' or '.join(_REPLACEABLE)}, and builds on that one first."
        )
    if stage.rows != DOCUMENTS or not isinstance(stage.decisions, pa.Schema):
        raise UsageError(
            f"stages: {where}: what stands in_place_of {stage.in_place_of} has rows=DOCUMENTS, and decisions made by"
            " decisions_schema of tasks.dataset.schemas."
        )


def _refuse_other_owner(field: str, value: str, allowed: bool) -> None:
    file = code_file(value)
    owner = file.stat().st_uid
    if not allowed and owner not in (os.getuid(), 0):
        raise RecipeError(
            f"{field}: the code {code_place(value)} belongs to another user ({owner}): read it and make a copy of your"
            f" own, or set {_ALLOW}=1 where you trust it."
        )
