"""Which finished corpora a recipe's mixture means: found in the run records of their stores when a run opens.

Notable: a recipe may say "the newest corpus of that crawl"; from here on the run knows it by its fingerprint, which is
what the fingerprints downstream cover.
"""

from collections.abc import Mapping

from flows.recipe.recipe import Recipe
from flows.recipe.stage_plan import StagePlan
from flows.store.run_record import newest_runs
from tasks.base.errors import PermanentError, UsageError
from tasks.dataset.manifest import read_manifest
from tasks.dataset.store import Store
from tasks.tokenize.mixture import OtherCorpus
from tasks.tokenize.other_corpora import corpus_name, finished_corpus


def pin_mixture(recipe: Recipe, store: Store) -> Recipe:
    """Return `recipe` with each other corpus named by store URL and fingerprint; `UsageError` where there is none."""
    if recipe.mixture is None or not recipe.mixture.others:
        return recipe
    others = {name: _pinned(name, other, store) for name, other in recipe.mixture.others.items()}
    return recipe.model_copy(update={"mixture": recipe.mixture.model_copy(update={"others": others})})


def refuse_own_corpus(plans: Mapping[str, StagePlan]) -> None:
    """Raise UsageError where the run's own corpus is among the others, so that its documents would count twice."""
    if "tokens" not in plans:
        return
    own = plans["corpus"].fingerprint
    for name, fingerprint in plans["tokens"].config.get("others", {}).items():
        if fingerprint == own:
            raise UsageError(
                f"mixture.others.{name} is this run's own corpus ({own}): name another crawl or corpus, or set "
                "mixture.own.epochs to repeat it."
            )


def _pinned(name: str, other: OtherCorpus, own: Store) -> OtherCorpus:
    if other.is_made_by_the_run:
        return other.model_copy(update={"store": own.url})  # the plan of its stage says which one
    store = Store(other.store) if other.store else own
    corpus = other.corpus or _newest(name, other, store)
    try:
        pinned = other.model_copy(update={"store": store.url, "corpus": corpus})
        finished_corpus(name, store, str(corpus_name(pinned)))
    except PermanentError as error:
        raise UsageError(str(error)) from error
    return pinned


def _newest(name: str, other: OtherCorpus, store: Store) -> str:
    for record in newest_runs(store):
        planned = record.stages.get(other.dataset)
        if planned is None or (other.crawl and record.crawl != other.crawl):
            continue
        if read_manifest(store, other.dataset, planned.plan.fingerprint):
            return planned.plan.fingerprint
    raise UsageError(
        f"mixture.others.{name}: no run in {store.url} has finished a {other.dataset} dataset"
        + (f" of the crawl {other.crawl}" if other.crawl else "")
        + "; run `sluice corpus` there first, or name another store or crawl."
    )
