"""Clusters of duplicates, and the document of each that is kept.

Notable: the longest document of a cluster is kept, the smallest id among equals; a document of an earlier crawl comes
before all of this one. Removed documents are named by id, never by position. Of a document that has a duplicate only
two numbers stay in memory; the rest is brought together by cluster, and back into the order of the parts, in files.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.base.hashing import text_hash_words
from tasks.dataset.schemas import CLUSTERS, DUPLICATES
from tasks.dedup.edges import Int64s, distinct, positions_in
from tasks.dedup.spilled_rows import SpilledRows

EXACT = "exact_duplicate"
NEAR = "near_duplicate"
MEMBERS_IN_MEMORY = 1_000_000
"""Documents of clusters that are decided on at a time, at some 500 bytes each."""
_EDGES_AT_LEAST = 4_000_000

MEMBERS = pa.schema(
    [
        ("label", pa.int64()),  # of the cluster
        ("place", pa.int64()),
        ("own", pa.bool_()),  # whether it is of this crawl
        ("id", pa.large_string()),
        ("text_hash", pa.string()),
        ("n_chars", pa.int64()),
    ]
)
"""A document that has a duplicate. Ids of a whole crawl may come to more than the 2 GiB that a string array holds."""


class Components:
    """The connected components of a graph whose edges come bit by bit.

    Holds two numbers for each document that has an edge, and at most about as many edges as there are documents.
    """

    def __init__(self) -> None:
        self._places = np.empty(0, dtype=np.int64)
        self._labels = np.empty(0, dtype=np.int64)
        self._waiting: list[Int64s] = []

    def add(self, edges: Int64s) -> None:
        """Add edges, [m, 2] places."""
        # Near-duplicates share many bands, so most partitions find what others have found; a merge costs as much as all
        # documents, whatever it adds.
        self._waiting.append(edges[~self._joins(edges)])
        if sum(map(len, self._waiting)) >= max(_EDGES_AT_LEAST, len(self._places) // 2):
            self._merge()

    def found(self) -> tuple[Int64s, Int64s]:
        """Return the documents that have any edge and the cluster of each: (places [n] sorted, labels [n])."""
        self._merge()
        return self._places, self._labels

    def _joins(self, edges: Int64s) -> npt.NDArray[np.bool_]:
        """Return which edges have both ends in one component already, [m]."""
        if not len(self._places):
            return np.zeros(len(edges), dtype=bool)
        ends = np.minimum(positions_in(self._places, edges), len(self._places) - 1)
        known = np.all(self._places[ends] == edges, axis=1)
        labels = self._labels[ends]
        return np.asarray(known & (labels[:, 0] == labels[:, 1]))

    def _merge(self) -> None:
        edges = np.concatenate([np.empty((0, 2), dtype=np.int64), *self._waiting])
        self._waiting = []
        if not len(edges):
            return
        from scipy.sparse import coo_array, csgraph  # a quarter of a second, as with datasketch in `minhash`

        places = distinct(np.concatenate([self._places, edges.ravel()]))
        nodes = np.arange(len(places), dtype=np.int64)
        # What is in one component already is one node: that of its first document.
        firsts = np.unique(self._labels, return_index=True)[1]
        old = np.searchsorted(places, self._places)
        nodes[old] = old[firsts][self._labels]
        ends = nodes[positions_in(places, edges)]
        graph = coo_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(len(places),) * 2)
        labels = csgraph.connected_components(graph, directed=False)[1][nodes]
        self._labels = np.unique(labels, return_inverse=True)[1].astype(np.int64)
        self._places = places


def cluster_decisions(members: pa.Table) -> pa.Table:
    """Return rows of `CLUSTERS`, one for each of `MEMBERS`, among which are all of each of their clusters.

    A removed document is an exact duplicate if the same text comes before it, by crawl and then by id; the others are
    near-duplicates.
    """
    members = members.sort_by(
        [("label", "ascending"), ("own", "ascending"), ("n_chars", "descending"), ("id", "ascending")]
    )
    label = members["label"].to_numpy()
    kept = np.ones(len(label), dtype=bool)
    kept[1:] = label[1:] != label[:-1]
    cluster = np.cumsum(kept) - 1
    keeper = np.flatnonzero(kept)[cluster]

    by_text = pc.sort_indices(
        members, [("text_hash", "ascending"), ("own", "ascending"), ("id", "ascending")]
    ).to_numpy()
    words = text_hash_words(members["text_hash"])[by_text]
    repeated = np.zeros(len(label), dtype=bool)
    repeated[by_text[1:]] = np.all(words[1:] == words[:-1], axis=1)
    reason = pc.if_else(pa.array(kept), None, pc.if_else(pa.array(repeated), EXACT, NEAR))
    size = pc.if_else(pa.array(kept), pa.array(np.bincount(cluster)[cluster]), None)
    columns = [members["place"], members["id"], pa.array(kept), members["id"].take(pa.array(keeper)), reason, size]
    return pa.table(columns, names=CLUSTERS.names).filter(members["own"]).cast(CLUSTERS)


def decide(members: Iterable[pa.Table], count: int, in_memory: int = MEMBERS_IN_MEMORY) -> Iterator[pa.Table]:
    """Yield rows of `CLUSTERS` for the documents of this crawl among `count` rows of `MEMBERS`, ordered by place.

    `members` ascend by place. More than `in_memory` of them at a time are held only where one cluster has as many.
    """
    buckets = -(-count // in_memory)
    if buckets <= 1:
        yield cluster_decisions(pa.concat_tables([MEMBERS.empty_table(), *members])).sort_by("place")
        return
    with SpilledRows(MEMBERS, buckets) as by_cluster, SpilledRows(CLUSTERS, buckets) as by_place:
        bounds: list[int] = []
        seen = 0
        for table in members:
            if seen // in_memory > len(bounds) - 1:
                bounds.append(table["place"][0].as_py())
            seen += table.num_rows
            by_cluster.add(table, table["label"].to_numpy() % buckets)
        edges = np.array(bounds[1:], dtype=np.int64)
        for bucket in range(buckets):
            decided = cluster_decisions(by_cluster.read(bucket))
            by_place.add(decided, np.searchsorted(edges, decided["place"].to_numpy(), side="right"))
        for bucket in range(buckets):
            yield by_place.read(bucket).sort_by("place")


def duplicates_table(ids: pa.ChunkedArray | pa.Array, decisions: pa.Table) -> pa.Table:
    """Return the decision on each of `ids`, in their order; cluster and reason are null where it has no duplicate."""
    places = pc.index_in(ids, value_set=decisions["id"])
    found = decisions.select(["kept", "cluster", "reason", "size"]).take(places)
    kept = pc.fill_null(found["kept"], True)
    return pa.table([ids, kept, found["cluster"], found["reason"], found["size"]], schema=DUPLICATES)
