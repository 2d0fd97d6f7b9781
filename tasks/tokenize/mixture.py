"""The mixture: how often each training document is in the packing plan, by its source, its duplicates and its quality.

Notable: nothing is copied. A document that counts twice is packed twice, so every copy is the same row of the tokens
dataset and leads to the same WARC record. A fraction of a copy is given by the hash of the document's id: it depends on
nothing else, so more parts, workers or sources move no other document. Held-out documents have no copies at all.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from tasks.base.config import Config
from tasks.base.errors import PermanentError
from tasks.base.hashing import UInt64s, hash_strings, mix64

Float64s = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

OWN = "own"
"""The name of the run's own corpus among the sources."""
MAX_COPIES = 1000
"""Copies of one document, at most."""

SourceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
"""A source's name: lower-case letters, digits, underscores."""


class Share(Config):
    """How much of a source is trained on; `weight` for every source of the mixture, or for none."""

    weight: float | None = Field(default=None, gt=0)
    """Its part of the training tokens, relative to the other sources' weights."""
    epochs: float | None = Field(default=None, ge=0, le=MAX_COPIES)
    """How often its documents are in the plan; 0.5 takes half of them. Without any weights it is 1 unless given."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.weight is not None and self.epochs is not None:
            raise ValueError("a source has a weight or epochs, not both")
        return self


class OtherCorpus(Share):
    """A corpus that another run has finished, here or in another store; or what this run rephrases of its own."""

    store: str | None = None
    """Folder or URL of its store; this run's own unless given."""
    crawl: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]+$")
    """The crawl it was made of: the newest finished corpus of that crawl in the store."""
    corpus: str | None = Field(default=None, pattern=r"^[0-9a-f]{16}$")
    """Its fingerprint, which says exactly which one; without it and `crawl`, the newest in the store."""
    dataset: Literal["corpus", "rephrased"] = "corpus"
    """`rephrased`: not the corpus but what a model made of its documents (`synthesis.rephrase`); this run's own, where
    no store, crawl or corpus is given."""

    @property
    def is_made_by_the_run(self) -> bool:
        """Whether the run itself makes it."""
        return self.dataset == "rephrased" and (self.store, self.crawl, self.corpus) == (None, None, None)


class Step(Config):
    """From a value on, how often a document counts."""

    at_least: float
    """The smallest value that this step is for."""
    times: float = Field(ge=0, le=MAX_COPIES)
    """How often such a document counts; 0 leaves it out."""


class MixtureConfig(Config):
    """What is trained on beside the run's own corpus, and how often each document counts."""

    own: Share = Share()
    """The run's own corpus."""
    others: dict[SourceName, OtherCorpus] = Field(default_factory=dict)
    """Further corpora by a name of one's own. They are encoded with this run's tokenizer and split by the same hash of
    the text, so a text that is held out here is held out there."""
    tokens: int | None = Field(default=None, ge=1)
    """Training tokens of a mixture by weights; unless given, as many as there can be without repeating any source."""
    by_duplicates: tuple[Step, ...] = ()
    """How often a document counts by the size of the cluster of duplicates it was kept for (1: it had none), by
    ascending `at_least`; below the first step once. FineWeb2 calls this rehydration (arXiv:2506.20920)."""
    by_quality: dict[SourceName, tuple[Step, ...]] = Field(default_factory=dict)
    """How often a document counts by its score under a classifier of this name, likewise; several multiply."""
    seed: int = Field(default=1, ge=0, lt=1 << 64)
    """Seed of the choice where only some documents get a further copy."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        shares = [self.own, *self.others.values()]
        weighted = [share.weight is not None for share in shares]
        if any(weighted) and not all(weighted):
            raise ValueError("give a weight to every source of the mixture, own included, or to none")
        if self.tokens is not None and not all(weighted):
            raise ValueError("mixture.tokens needs weights: with epochs the sources say how many tokens there are")
        if OWN in self.others:
            raise ValueError(f"{OWN!r} is the run's own corpus; give the other one another name")
        for steps in (self.by_duplicates, *self.by_quality.values()):
            values = [step.at_least for step in steps]
            if values != sorted(set(values)):
                raise ValueError("steps must have ascending at_least, each value once")
        return self


def times_of(values: npt.NDArray[np.floating | np.integer], steps: tuple[Step, ...]) -> Float64s:
    """Return how often documents with these `values` [n] count; once below the first step, and where a value is NaN."""
    times = np.array([1.0, *(step.times for step in steps)])
    edges = np.array([step.at_least for step in steps])
    places = np.searchsorted(edges, values, side="right")
    return times[np.where(np.isnan(values), 0, places)]


def cluster_sizes(ids: pa.ChunkedArray, duplicates: pa.Table) -> Int64s:
    """Return the size of the cluster that each of `ids` was kept for, itself included, [n]; of those with duplicates
    the table has `id` and `size`."""
    sizes = duplicates["size"].take(pc.index_in(ids, value_set=duplicates["id"]))
    return pc.fill_null(sizes, 1).to_numpy().astype(np.int64)


def source_epochs(config: MixtureConfig, tokens: Mapping[str, float]) -> dict[str, float]:
    """Return how often each source is in the plan, by name; `tokens`: what each has to train on, repeats counted.

    Raises `PermanentError` where a source with a weight holds nothing, or would be repeated beyond `MAX_COPIES`.
    """
    shares: dict[str, Share] = {OWN: config.own, **config.others}
    if config.own.weight is None:
        return {name: 1.0 if share.epochs is None else share.epochs for name, share in shares.items()}
    if empty := sorted(name for name in shares if tokens[name] == 0):
        raise PermanentError(
            f"mixture: {', '.join(empty)} has a weight but no token to train on: take it out, or look at its corpus."
        )
    total_weight = sum(share.weight or 0 for share in shares.values())
    parts = {name: (share.weight or 0) / total_weight for name, share in shares.items()}
    total = config.tokens or min(tokens[name] / part for name, part in parts.items())
    epochs = {name: total * part / tokens[name] for name, part in parts.items()}
    most, name = max((value, name) for name, value in epochs.items())
    if most > MAX_COPIES:
        raise PermanentError(
            f"mixture: {name} would be repeated {most:,.0f} times, more than {MAX_COPIES}: lower its weight or "
            "mixture.tokens."
        )
    return epochs


def copy_keys(ids: pa.ChunkedArray, seed: int) -> UInt64s:
    """Return the hash of each id by which fractions of a copy are rounded up or down, [n]."""
    return mix64(hash_strings(ids.to_pylist()), seed)


def copies(times: Float64s, keys: UInt64s) -> Int64s:
    """Return how often documents that count `times` are packed, [n]: rounded down, or up for a share of them."""
    whole = np.floor(times)
    fraction = times - whole
    # Compared as integers of 53 bits, which a float64 holds exactly.
    more = (keys >> np.uint64(11)).astype(np.float64) < fraction * 2.0**53
    return np.minimum(whole.astype(np.int64) + more, MAX_COPIES)


def repeated(copy_counts: Int64s) -> Int64s:
    """Return which document each packed one is: the first copies of all, then the second ones, and so on.

    So two copies of a document, which are equally long, are not neighbours when pieces are packed by length.
    """
    rounds = [np.flatnonzero(copy_counts > number) for number in range(int(copy_counts.max(initial=0)))]
    return np.concatenate([np.empty(0, dtype=np.int64), *rounds])
