"""Which crawls of a source a recipe has not been carried out on yet, and the recipe for each.

Notable: what was seen stands in the store's run records and nowhere else. A crawl is done when a run on it completed,
so a month in which nothing ran, or in which a run failed, is made up for by the next.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from flows.recipe.loading import validated
from flows.recipe.recipe import Recipe
from flows.store.run_record import RunRecord, newest_runs
from tasks.dataset.manifest import read_manifest
from tasks.dataset.store import Store
from tasks.tokenize.tokenizer_files import tokenizer_path


def finished_crawls(store: Store, recipe: str, flow: str) -> dict[str, RunRecord]:
    """Return the crawls on which a run of this flow and recipe completed, oldest first, with the newest run of each."""
    runs: dict[str, RunRecord] = {}
    for record in newest_runs(store):
        if (record.recipe.get("name"), record.flow, record.state) == (recipe, flow, "completed"):
            runs.setdefault(record.crawl, record)
    return dict(sorted(runs.items()))


def new_crawls(listed: Collection[str], finished: Collection[str], first: str) -> list[str]:
    """Return the listed crawls after the last finished one, oldest first, as their names sort by time.

    Where none is finished they begin with `first`; `latest` is the newest alone.
    """
    if finished:
        return sorted(crawl for crawl in listed if crawl > max(finished))
    return sorted(crawl for crawl in listed if crawl >= (max(listed, default="") if first == "latest" else first))


def recipe_on(recipe: Recipe, crawl: str, earlier: Mapping[str, RunRecord], store: Store, with_corpora: bool) -> Recipe:
    """Return the recipe for one crawl, with what it takes over of `earlier` ones that the store still holds.

    Their corpora are in the mixture where they are to be learnt from as well (`with_corpora`); the rest is said by
    `earlier_crawls`.
    """
    values = recipe.model_dump(mode="json")
    values["source"]["crawl"] = crawl
    corpora = {name: record.stages["corpus"].plan.fingerprint for name, record in earlier.items()}
    held = {name: corpus for name, corpus in corpora.items() if read_manifest(store, "corpus", corpus)}
    if held and with_corpora:
        others = {_source_name(name): {"crawl": name, "corpus": corpus} for name, corpus in held.items()}
        mixture = values["mixture"] or {}
        values["mixture"] = {**mixture, "others": {**mixture.get("others", {}), **others}}
    if recipe.earlier_crawls.duplicates:
        values["duplicates"]["earlier"] = list(held.values())
    if recipe.earlier_crawls.model and earlier:
        _go_on_from(values, list(earlier.values())[-1], store)
    return validated(values, f"{recipe.name} on {crawl}")


def _go_on_from(values: dict[str, Any], last: RunRecord, store: Store) -> None:
    """Let a recipe's values keep the tokenizer of an earlier run and begin with the model that it pretrained."""
    if values["tokenizer"] and (tokenizer := last.stages.get("tokenizer")):
        values["tokenizer"]["path"] = store.location(tokenizer_path(tokenizer.plan.fingerprint))
    if values["pretrain"] and (trained := last.stages.get("pretrain")) and trained.summary:
        values["pretrain"]["init"] = trained.summary["model"]


def _source_name(crawl: str) -> str:
    return re.sub("[^a-z0-9]", "_", f"crawl_{crawl}".lower())[:31]
