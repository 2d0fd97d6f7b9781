"""packing: the plan that says which stretch of which document goes where in which training sequence.

Notable: a mixture decides how often each document is planned, from the documents' ids, sources, duplicates and scores;
all that is read for it is joined by id, a part at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.base.errors import PermanentError
from tasks.base.hashing import UInt64s
from tasks.classify.score_rules import scores_schema, signal_name
from tasks.dataset.manifest import part_path
from tasks.dataset.parts import read_part
from tasks.dataset.schemas import DUPLICATES, PACKING
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.tokenize.best_fit import PackingConfig, best_fit, packing_counters, plan_table
from tasks.tokenize.encoding import TRAIN
from tasks.tokenize.mixture import (
    OWN,
    MixtureConfig,
    cluster_sizes,
    copies,
    copy_keys,
    repeated,
    source_epochs,
    times_of,
)
from tasks.tokenize.other_corpora import (
    FinishedCorpus,
    OtherCorporaConfig,
    finished_corpus,
    located,
    other_corpora,
    other_corpora_config,
)

Int32s = npt.NDArray[np.int32]


class PackingStageConfig(PackingConfig, OtherCorporaConfig):
    """The recipe's section, and the mixture where it has one."""

    mixture: MixtureConfig | None = None
    """How often each document is planned; once unless given."""


@dataclass(frozen=True)
class _Documents:
    """The training documents, all arrays [n]."""

    parts: Int32s
    """Part of the tokens dataset that holds each."""
    rows: Int32s
    """Its row there."""
    lengths: Int32s
    """Its tokens."""
    times: npt.NDArray[np.float64]
    """How often it counts by its duplicates and scores."""
    keys: UInt64s
    """The hash that rounds a fraction of a copy."""


def run(context: PartContext) -> Iterator[Output]:
    """Yield the whole plan, made from the lengths of the training documents and how often each counts."""
    config = context.config(PackingStageConfig)
    mixing = _Mixing(context, config) if config.mixture else None
    found = _training_documents(context, mixing)
    chosen, drawn = mixing.chosen(found) if mixing else (np.arange(len(found.rows)), {})
    plan = best_fit(found.lengths[chosen], config.capacity, config.seed)
    table = plan_table(found.parts[chosen], found.rows[chosen], plan)
    yield Output(table, counters=packing_counters(plan, config.capacity) | drawn)


def _training_documents(context: PartContext, mixing: _Mixing | None) -> _Documents:
    parts, rows, lengths = ([np.empty(0, dtype=np.int32)] for _ in range(3))
    times, keys = [np.empty(0)], [np.empty(0, dtype=np.uint64)]
    columns = ["n_tokens", "split", *(["id"] if mixing else [])]
    for index, of_part in groupby(context.all_inputs("tokens", columns), itemgetter(0)):
        table = pa.concat_tables(table for _, table in of_part)
        training = np.flatnonzero(pc.equal(table["split"], TRAIN).to_numpy(zero_copy_only=False))
        rows.append(training.astype(np.int32))
        parts.append(np.full(len(training), index, dtype=np.int32))
        lengths.append(table["n_tokens"].to_numpy()[training])
        if mixing:
            ids = table["id"].take(pa.array(training))
            times.append(mixing.times(index, ids))
            keys.append(copy_keys(ids, mixing.config.seed))
    columns_found = (np.concatenate(parts), np.concatenate(rows), np.concatenate(lengths))
    return _Documents(*columns_found, np.concatenate(times), np.concatenate(keys))


class _Mixing:
    """How often documents are planned, under one mixture."""

    def __init__(self, context: PartContext, config: PackingStageConfig) -> None:
        assert config.mixture
        self.config = config.mixture
        own = finished_corpus(OWN, context.store, context.manifest("tokens").upstream["corpus"])
        self._corpora: Sequence[FinishedCorpus] = [own, *other_corpora(config.others, config.stores)]

    def times(self, part: int, ids: pa.ChunkedArray) -> npt.NDArray[np.float64]:
        """Return how often documents `ids` of a tokens part count, [n]."""
        corpus, index = located(self._corpora, part)
        found = np.ones(len(ids))
        if self.config.by_duplicates and "duplicates" in corpus.manifest.upstream:
            found *= times_of(cluster_sizes(ids, _duplicates_of(corpus, index)), self.config.by_duplicates)
        if self.config.by_quality:
            scores = _scores_of(corpus, index, self.config)
            places = pc.index_in(ids, value_set=scores["id"])
            for name, steps in self.config.by_quality.items():
                values = scores[signal_name(name)].take(places).to_numpy().astype(np.float64)
                found *= times_of(values, steps)
        return found

    def chosen(self, documents: _Documents) -> tuple[npt.NDArray[np.int64], dict[str, int]]:
        """Return the documents to plan, each as often as it counts, and how many those are by source."""
        bounds = np.cumsum([0, *(len(corpus.manifest.parts) for corpus in self._corpora)])
        source = np.searchsorted(bounds, documents.parts, side="right") - 1
        to_train = np.bincount(source, documents.lengths * documents.times, len(self._corpora))
        names = [corpus.name for corpus in self._corpora]
        epochs = source_epochs(self.config, dict(zip(names, to_train.tolist(), strict=True)))
        factor = np.array([epochs[name] for name in names])
        counts = copies(documents.times * factor[source], documents.keys)
        drawn = counts * documents.lengths
        counters = {"drawn_tokens": int(drawn.sum()), "drawn_documents": int(counts.sum())}
        for number, name in enumerate(names):
            counters[f"drawn_tokens.{name}"] = int(drawn[source == number].sum())
            counters[f"drawn_documents.{name}"] = int(counts[source == number].sum())
        return repeated(counts), counters


def _duplicates_of(corpus: FinishedCorpus, index: int) -> pa.Table:
    """Return the documents that have a duplicate among those of one part of a corpus."""
    path = part_path("duplicates", corpus.manifest.upstream["duplicates"], index)
    columns = ["id", "size"]
    return pa.concat_tables([DUPLICATES.empty_table().select(columns), *read_part(corpus.store, path, columns)])


def _scores_of(corpus: FinishedCorpus, index: int, mixture: MixtureConfig) -> pa.Table:
    """Return the scores of the documents of one part of a corpus."""
    fingerprint = corpus.manifest.upstream.get("scores")
    if fingerprint is None:
        raise PermanentError(
            f"mixture.by_quality needs scores, but the corpus of {corpus.name} was made without classifiers: "
            "make it with them, or leave it out of the mixture."
        )
    tables = list(read_part(corpus.store, part_path("scores", fingerprint, index)))
    empty = scores_schema(mixture.by_quality).empty_table()
    known = tables[0].column_names if tables else empty.column_names
    if missing := sorted(name for name in mixture.by_quality if signal_name(name) not in known):
        raise PermanentError(
            f"mixture.by_quality names {', '.join(missing)}, but the corpus of {corpus.name} has no such "
            f"classifier; it has {', '.join(name.removeprefix('score_') for name in known[1:])}."
        )
    return pa.concat_tables([empty, *(table.select(empty.column_names) for table in tables)])


def _config(recipe: Any) -> dict[str, Any]:
    """Return the section and the mixture, in which the other corpora are named by their fingerprints alone."""
    config = recipe.packing.model_dump(mode="json") | other_corpora_config(recipe.mixture)
    places = {name: {"store", "crawl", "corpus", "dataset"} for name in config["others"]}
    mixture = recipe.mixture.model_dump(mode="json", exclude={"others": places}) if recipe.mixture else None
    return config | {"mixture": mixture}


STAGE = Stage(
    name="packing",
    version=1,
    upstream=(
        Upstream("tokens", all_parts=True),
        Upstream("duplicates", all_parts=True, when=lambda recipe: recipe.mixture and recipe.mixture.by_duplicates),
        Upstream("scores", all_parts=True, when=lambda recipe: recipe.mixture and recipe.mixture.by_quality),
    ),
    config_of=_config,
    pace=("stores",),
    memory="the lengths of all training documents",
    rows=PACKING,
    run=run,
)
