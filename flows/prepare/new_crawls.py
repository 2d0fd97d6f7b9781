"""Which crawls of a source a recipe has not been carried out on yet, and the recipe for each.

Notable: what was seen stands in the store's run records and nowhere else. A crawl is done when a run on it completed,
so a month in which nothing ran, or in which a run failed, is made up for by the next.
"""

import re
from collections.abc import Collection, Mapping

from flows.recipe.loading import validated
from flows.recipe.recipe import Recipe
from flows.store.run_record import newest_runs
from tasks.dataset.manifest import read_manifest
from tasks.dataset.store import Store


def finished_crawls(store: Store, recipe: str, flow: str) -> dict[str, str]:
    """Return the crawls on which a run of this flow and recipe completed, with the newest corpus of each."""
    corpora: dict[str, str] = {}
    for record in newest_runs(store):
        if (record.recipe.get("name"), record.flow, record.state) == (recipe, flow, "completed"):
            corpora.setdefault(record.crawl, record.stages["corpus"].plan.fingerprint)
    return corpora


def new_crawls(listed: Collection[str], finished: Collection[str], first: str) -> list[str]:
    """Return the listed crawls after the last finished one, oldest first, as their names sort by time.

    Where none is finished they begin with `first`; `latest` is the newest alone.
    """
    if finished:
        return sorted(crawl for crawl in listed if crawl > max(finished))
    return sorted(crawl for crawl in listed if crawl >= (max(listed, default="") if first == "latest" else first))


def recipe_on(recipe: Recipe, crawl: str, earlier: Mapping[str, str], store: Store) -> Recipe:
    """Return the recipe for one crawl, whose mixture has the corpora of `earlier` crawls that the store still holds."""
    values = recipe.model_dump(mode="json")
    values["source"]["crawl"] = crawl
    held = {name: corpus for name, corpus in earlier.items() if read_manifest(store, "corpus", corpus)}
    if held:
        others = {_source_name(name): {"crawl": name, "corpus": corpus} for name, corpus in sorted(held.items())}
        mixture = values["mixture"] or {}
        values["mixture"] = {**mixture, "others": {**mixture.get("others", {}), **others}}
    return validated(values, f"{recipe.name} on {crawl}")


def _source_name(crawl: str) -> str:
    return re.sub("[^a-z0-9]", "_", f"crawl_{crawl}".lower())[:31]
