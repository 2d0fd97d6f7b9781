"""The user's own code that a recipe names: which fields do, whether it may run, and a check when the recipe is read.

Notable: a recipe is data, and may be anybody's. Code is taken only from files of this machine that a recipe of this
machine names (or `--set` does), both of this user or of root; `SLUICE_ALLOW_CODE=1` says that any recipe may name some.
"""

import os
from collections.abc import Iterator
from typing import Any

from flows.recipe.recipe import Recipe
from flows.recipe.recipe_file import RecipeError
from tasks.base.errors import UsageError
from tasks.filter.config import filter_rules
from tasks.filter.own_rules import own_signals
from tasks.filter.profiles import SIGNALS
from tasks.own_code.named_code import code_file, code_place, is_pinned, load, pinned

_ALLOW = "SLUICE_ALLOW_CODE"
_BUILTIN_EXTRACTORS = ("trafilatura", "resiliparse")
_ALWAYS = ("id", "language", "language_score")


def own_code(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Yield (field, name) of all code that a recipe names."""
    for field in ("rules", "signals"):
        yield from ((f"filter.{field}.{place}", value) for place, value in enumerate(getattr(recipe.filter, field)))
    if recipe.extract.extractor not in _BUILTIN_EXTRACTORS:
        yield "extract.extractor", recipe.extract.extractor


def check_own_code(recipe: Recipe, where: str, is_local: bool) -> None:
    """Run the code that a recipe names and check its interfaces; `is_local`: the recipe is of this machine.

    Raises RecipeError for code that may not run, or is not what its field takes.
    """
    named = list(own_code(recipe))
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
    update: dict[str, Any] = {}
    if recipe.filter.rules or recipe.filter.signals:
        lists = {name: tuple(map(pinned, getattr(recipe.filter, name))) for name in ("rules", "signals")}
        update["filter"] = recipe.filter.model_copy(update=lists)
    if recipe.extract.extractor not in _BUILTIN_EXTRACTORS:
        update["extract"] = recipe.extract.model_copy(update={"extractor": pinned(recipe.extract.extractor)})
    return recipe.model_copy(update=update) if update else recipe


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
    if recipe.extract.extractor not in _BUILTIN_EXTRACTORS and not callable(load(recipe.extract.extractor)):
        raise UsageError("extract.extractor must be a function that takes a page's HTML and its address.")


def _refuse_other_owner(field: str, value: str, allowed: bool) -> None:
    file = code_file(value)
    owner = file.stat().st_uid
    if not allowed and owner not in (os.getuid(), 0):
        raise RecipeError(
            f"{field}: the code {code_place(value)} belongs to another user ({owner}): read it and make a copy of your"
            f" own, or set {_ALLOW}=1 where you trust it."
        )
