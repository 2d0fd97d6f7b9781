"""clusters: every document that has a duplicate, with the decision on it, in the order of the signature parts.

Notable: one process sees all pairs, which no partition can be spared. It holds two numbers for each document in them;
ids and texts' hashes pass through files (`tasks.dedup.cluster_decisions`).
"""

from collections.abc import Iterator
from itertools import groupby, pairwise
from operator import itemgetter

import numpy as np
import pyarrow as pa

from tasks.base.fingerprint import digest
from tasks.dataset.manifest import part_path
from tasks.dataset.parts import read_parts
from tasks.dataset.schemas import CLUSTERS
from tasks.dataset.stage import DatasetContext, Output, PartContext, PartInput, Stage, Upstream
from tasks.dedup.cluster_decisions import MEMBERS, Components, decide
from tasks.dedup.earlier_signatures import signed_crawls
from tasks.dedup.edges import Int64s, part_of, row_of

ROWS_PER_GROUP = 16_384
"""A part of `duplicates` reads whole groups, however few of their rows are its own."""


def run(context: PartContext) -> Iterator[Output]:
    """Yield a row for each document that has a duplicate, ordered by place."""
    components = Components()
    for _, table in context.all_inputs("candidates"):
        components.add(np.stack([table["left"].to_numpy(), table["right"].to_numpy()], axis=1))
    places, labels = components.found()
    for table in decide(_members(context, places, labels), len(places)):
        for start in range(0, table.num_rows, ROWS_PER_GROUP):
            yield Output(table.slice(start, ROWS_PER_GROUP))


def _members(context: PartContext, places: Int64s, labels: Int64s) -> Iterator[pa.Table]:
    """Yield rows of `MEMBERS` for these places (sorted); parts without any are not opened."""
    crawls = signed_crawls(context.store, context.job.config["earlier"], context.job.upstream["signatures"])
    indices, begins = np.unique(part_of(places), return_index=True)
    bounds = pairwise([*begins.tolist(), len(places)])
    of_crawls = [next(one for one in reversed(crawls) if one.first_part <= index) for index in indices.tolist()]
    paths = [
        part_path("signatures", crawl.fingerprint, index - crawl.first_part)
        for index, crawl in zip(indices.tolist(), of_crawls, strict=True)
    ]
    parts = groupby(read_parts(context.store, paths, ["id", "text_hash", "n_chars"]), itemgetter(0))
    for crawl, (begin, end), (_, tables) in zip(of_crawls, bounds, parts, strict=True):
        found = pa.concat_tables(table for _, table in tables).take(pa.array(row_of(places[begin:end])))
        own = np.full(end - begin, crawl.own)
        columns = {"label": labels[begin:end], "place": places[begin:end], "own": own}
        yield pa.table({**columns, **{name: found[name] for name in found.column_names}}).cast(MEMBERS)


def _parts(context: DatasetContext) -> list[PartInput]:
    """Return the one part, which the ids of earlier crawls go into as well."""
    crawls = signed_crawls(context.store, context.config["earlier"], context.upstream["signatures"])
    return [PartInput(digest=digest([crawl.manifest.digest for crawl in crawls]))]


STAGE = Stage(
    name="clusters",
    version=1,
    upstream=(Upstream("signatures", all_parts=True, in_part_inputs=True), Upstream("candidates", all_parts=True)),
    config_of=lambda recipe: {"earlier": list(recipe.duplicates.earlier)},
    choosing=("earlier",),
    memory="two numbers for each document that has a duplicate, and as many pairs of them",
    rows=CLUSTERS,
    run=run,
    parts=_parts,
)
