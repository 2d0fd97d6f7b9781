"""A side of an ablation: the corpus of a recipe, as its run has left it in the store."""

import logging
from pathlib import Path

from flows.ablation.trials import Corpus
from flows.prepare.planned_run import plan_run
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from flows.stages.program import ProgramContext
from flows.store.working_folder import working_folder
from tasks.base.errors import PermanentError, UsageError
from tasks.dataset.manifest import read_manifest
from tasks.dataset.store import Store


def corpus_of(recipe: Recipe, store: Store) -> Corpus:
    """Return a recipe's packed tokens.

    Raises `UsageError` for a recipe without a tokenizer, `PermanentError` where the store does not have its tokens.
    """
    if recipe.tokenizer is None:
        raise UsageError(f"The recipe {recipe.name!r} ends with the corpus: an ablation needs its tokens.")
    settings = RunSettings.model_validate({"store": store.url})
    planned = plan_run(recipe, settings, goes_on=True, logger=logging.getLogger(__name__))
    found = {name: read_manifest(store, name, planned.plans[name].fingerprint) for name in ("tokens", "packing")}
    packed = found["packing"]
    if packed is None or found["tokens"] is None:
        raise PermanentError(
            f"The store {store.url} has no finished tokens of the recipe {recipe.name!r}: run `sluice corpus` with it."
        )
    folder = working_folder(store, settings.scratch)
    context = ProgramContext(planned.plans["packing"], planned.plans, recipe.name, store, folder, planned.chat)
    return Corpus(
        name=recipe.name,
        tokens=context.dataset("tokens"),
        packing=context.dataset("packing"),
        tokenizer=Path(context.tokenizer_file()),
        vocab_size=recipe.tokenizer.vocab_size,
        targets=packed.counters["targets"],
        sequences=packed.counters["sequences"],
    )
