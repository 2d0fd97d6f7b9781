"""How many tokens a WARC file yields: measured in this store, or typical.

Notable: the share of duplicates grows with the corpus, so the yield of a few files is too high for many; its source
says how many files it was measured on.
"""

import math

from flows.recipe.recipe import Recipe
from flows.store.run_record import RunRecord, newest_runs
from tasks.base.config import Config
from tasks.dataset.manifest import Manifest, read_manifest
from tasks.dataset.store import Store

TYPICAL_TOKENS_PER_WARC = 2_000_000
TYPICAL_BYTES_PER_WARC = 1_100_000_000
TYPICAL_SOURCE = (
    "assumed, since nothing was measured in this store: FineWeb (arXiv:2406.17557) has 15T English tokens from 96"
    " crawls, about 80,000 files of 1.1 GB each"
)


class TokenYield(Config):
    """What a WARC file yields, typically unless measured."""

    tokens_per_warc: float = TYPICAL_TOKENS_PER_WARC
    """Tokens for training, after all filters."""
    bytes_per_warc: float = TYPICAL_BYTES_PER_WARC
    """Bytes fetched of each."""
    tokens_available: int | None = None
    """Tokens for training that are in the store; None where there are none."""
    source: str = TYPICAL_SOURCE


class WarcsNeeded(Config):
    """What must be fetched for a number of tokens."""

    warcs: int
    fetched_bytes: int
    source: str


def token_yield(store: Store, recipe: Recipe) -> TokenYield:
    """Return the yield of this recipe's newest corpus in the store, else of another's, else a typical one.

    The yield of the synthetic web says nothing about a real one, so they never stand in for each other.
    """
    others: TokenYield | None = None
    for record in newest_runs(store):
        if bool(record.recipe.get("synthetic_web")) != bool(recipe.synthetic_web):
            continue
        is_same = record.recipe.get("name") == recipe.name
        if (is_same or others is None) and (measured := _measured(store, record)):
            if is_same:
                return measured
            others = measured.model_copy(update={"tokens_available": None})
    return others or TokenYield()


def warcs_needed(tokens: float, found: TokenYield) -> WarcsNeeded:
    """Return the WARC files needed for this many distinct tokens."""
    warcs = math.ceil(tokens / found.tokens_per_warc)
    return WarcsNeeded(warcs=warcs, fetched_bytes=int(warcs * found.bytes_per_warc), source=found.source)


def _measured(store: Store, record: RunRecord) -> TokenYield | None:
    fetched, corpus, tokens = (_manifest(store, record, stage) for stage in ("fetch", "corpus", "tokens"))
    if fetched is None or corpus is None or tokens is None:
        return None
    # Parts of a mixture's other corpora come after the run's own.
    own = sum(part.counters.get("train_tokens", 0) for part in tokens.parts[: len(corpus.parts)])
    if own == 0:
        return None
    warcs = max(1, fetched.counters.get("kept", len(fetched.parts)))
    return TokenYield(
        tokens_per_warc=own / warcs,
        bytes_per_warc=fetched.counters.get("bytes", 0) / warcs,
        tokens_available=tokens.counters["train_tokens"],
        source=f"measured in this store: {own:,} tokens of {warcs:,} WARC files, run {record.run}",
    )


def _manifest(store: Store, record: RunRecord, stage: str) -> Manifest | None:
    planned = record.stages.get(stage)
    return read_manifest(store, stage, planned.plan.fingerprint) if planned else None
