"""Clusters of duplicates, and the document of each cluster that is kept.

Notable: the join over band keys is split by key into partitions, so a partition bounds the memory, not the corpus. The
clusters do not depend on the number of partitions, on the order of documents or on the workers. Candidates are compared
by sketch before they are linked, because chains of weak candidates merge templated pages into one cluster of thousands.
The longest document of a cluster is kept, the smallest id among equals; removed documents are named by id, never by
position.

The steps: `partition_edges` for each partition, `duplicate_decisions` once over all edges, `duplicates_table` for each
part. A `Reader` reads a corpus's signature tables (`tasks.dedup.minhash.signatures_table`) in a fixed order; a "row" is
a document's place in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.base.config import Config
from tasks.base.hashing import UInt64s, text_hash_words
from tasks.dataset.schemas import DUPLICATES
from tasks.dedup.minhash import NO_KEY, estimated_similarity

Int64s = npt.NDArray[np.int64]
Reader = Callable[[list[str]], Iterable[pa.Table]]
"""Reads the named columns of a dataset's tables, always in the same order."""

_DECISIONS = pa.schema(
    [field.with_type(pa.large_string()) if field.name in ("id", "cluster") else field for field in DUPLICATES]
)
"""`DUPLICATES` as it is held for a whole corpus, where the ids may come to more than 2 GiB."""
EXACT = "exact_duplicate"
NEAR = "near_duplicate"


class DuplicatesConfig(Config):
    """How candidates are joined, and how similar duplicates must be."""

    partitions: int = Field(default=4, ge=1)
    """Parts into which the join on band keys is split: each holds 1/partitions of the keys in memory.
    Decides nothing."""
    minimum_similarity: float = Field(default=0.7, ge=0, le=1)
    """Estimated Jaccard similarity of shingles (0 to 1) below which candidates are not linked; 0 links all candidates,
    as FineWeb does."""


@dataclass(frozen=True)
class Entries:
    """Documents in the buckets of the join: one entry for each document and bucket, all arrays [n_entries]."""

    key: UInt64s
    """The bucket."""
    n_chars: Int64s
    text: UInt64s
    """High half of the document's text hash: orders documents of equal length by their content."""
    row: Int64s

    @staticmethod
    def concatenate(several: list[Entries]) -> Entries:
        """Return all entries of `several`, of which there is at least one."""
        columns = ([getattr(entries, field.name) for entries in several] for field in fields(Entries))
        return Entries(*map(np.concatenate, columns))


def _distinct(edges: Int64s) -> Int64s:
    """Return the edges [m, 2] as (smaller row, larger row), sorted, each once."""
    ordered = np.sort(edges, axis=1)
    ordered = ordered[np.lexsort((ordered[:, 1], ordered[:, 0]))]
    new = np.ones(len(ordered), dtype=bool)
    new[1:] = np.any(ordered[1:] != ordered[:-1], axis=1)
    return ordered[new]


def band_entries(table: pa.Table, first_row: int, partition: int, partitions: int) -> Entries:
    """Return one partition's entries of a table with `bands n_chars text_hash`, whose first document is `first_row`."""
    bands = table["bands"].combine_chunks()
    keys = bands.flatten().to_numpy()
    lengths = pc.fill_null(pc.list_value_length(bands), 0).to_numpy()
    owners = np.repeat(np.arange(table.num_rows, dtype=np.int64), lengths)
    here = (keys % np.uint64(partitions) == np.uint64(partition)) & (keys != NO_KEY)
    owners = owners[here]
    text = text_hash_words(table["text_hash"])[:, 0]
    return Entries(keys[here], table["n_chars"].to_numpy()[owners], text[owners], first_row + owners)


def candidate_edges(entries: Entries) -> Int64s:
    """Return pairs of documents worth comparing, [m, 2] rows.

    Each document of a bucket is paired with the bucket's longest and with the next longer one: two pairs a document,
    where all pairs would be quadratic, and still a chain through the whole bucket.
    """
    order = np.lexsort((entries.row, entries.text, -entries.n_chars, entries.key))
    key, row = entries.key[order], entries.row[order]
    if len(key) == 0:
        return np.empty((0, 2), dtype=np.int64)
    first = np.ones(len(key), dtype=bool)
    first[1:] = key[1:] != key[:-1]
    longest = row[np.flatnonzero(first)[np.cumsum(first) - 1]]
    later = ~first
    to_longest = np.stack([longest[later], row[later]], axis=1)
    to_next = np.stack([row[:-1][later[1:]], row[1:][later[1:]]], axis=1)
    return _distinct(np.concatenate([to_longest, to_next]))


def exact_edges(words: UInt64s, rows: Int64s) -> Int64s:
    """Return a chain through the documents of each text hash, [m, 2] rows; `words` [n, 2] are the hash's two halves."""
    order = np.lexsort((rows, words[:, 1], words[:, 0]))
    words, rows = words[order], rows[order]
    same = np.all(words[1:] == words[:-1], axis=1)
    return _distinct(np.stack([rows[:-1][same], rows[1:][same]], axis=1))


def similar_edges(
    edges: Int64s, rows: Int64s, sketches: npt.NDArray[np.uint8], minimum: float, batch: int = 65536
) -> Int64s:
    """Return the `edges` whose ends are similar enough; row `rows[i]` (sorted) has the sketch `sketches[i]`."""
    ends = np.searchsorted(rows, edges)
    similar = np.empty(len(edges), dtype=bool)
    for start in range(0, len(edges), batch):
        left, right = ends[start : start + batch].T
        similar[start : start + batch] = estimated_similarity(sketches[left], sketches[right]) >= minimum
    return edges[similar]


def _taken(read: Reader, columns: list[str], rows: Int64s) -> Iterator[pa.Table]:
    """Yield some columns of the documents in `rows` (sorted), one table for each that is read."""
    first_row = 0
    for table in read(columns):
        here = rows[np.searchsorted(rows, first_row) : np.searchsorted(rows, first_row + table.num_rows)] - first_row
        yield table.take(pa.array(here))
        first_row += table.num_rows


def _sketches_of(read: Reader, rows: Int64s) -> npt.NDArray[np.uint8]:
    """Return the sketches of the documents in `rows` (sorted), [len(rows), permutations]."""
    taken = (table["sketch"] for table in _taken(read, ["sketch"], rows) if table.num_rows)
    joined = ((b"".join(sketches.to_pylist()), len(sketches)) for sketches in taken)
    return np.concatenate([np.frombuffer(data, dtype=np.uint8).reshape(count, -1) for data, count in joined])


def partition_edges(read: Reader, partition: int, config: DuplicatesConfig) -> Int64s:
    """Return the edges between duplicates that partition `partition` of the join finds, [m, 2] rows, sorted.

    Reads the columns `bands n_chars text_hash` once, and `sketch` once if candidates are to be compared. Equal texts
    are always linked, whether they have a signature or not.
    """
    entries, exact_words, exact_rows, first_row = [], [], [], 0
    for table in read(["bands", "n_chars", "text_hash"]):
        if table.num_rows == 0:
            continue
        entries.append(band_entries(table, first_row, partition, config.partitions))
        words = text_hash_words(table["text_hash"])
        here = np.flatnonzero(words[:, 0] % np.uint64(config.partitions) == np.uint64(partition))
        exact_words.append(words[here])
        exact_rows.append(first_row + here.astype(np.int64))
        first_row += table.num_rows
    if not entries:
        return np.empty((0, 2), dtype=np.int64)
    near = candidate_edges(Entries.concatenate(entries))
    exact = exact_edges(np.concatenate(exact_words), np.concatenate(exact_rows))
    del entries
    if config.minimum_similarity > 0 and len(near):
        rows = np.unique(near)
        near = similar_edges(near, rows, _sketches_of(read, rows), config.minimum_similarity)
    return _distinct(np.concatenate([near, exact]))


def connected_components(edges: Int64s) -> tuple[Int64s, Int64s]:
    """Return the documents that have any edge and the cluster of each: (rows [n] sorted, labels [n])."""
    if len(edges) == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    rows, ends = np.unique(edges, return_inverse=True)
    ends = ends.reshape(edges.shape)
    from scipy.sparse import coo_array, csgraph  # a quarter of a second, as with datasketch in `minhash`

    graph = coo_array((np.ones(len(edges), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(len(rows), len(rows)))
    _, labels = csgraph.connected_components(graph, directed=False)
    return rows, labels.astype(np.int64)


def cluster_decisions(members: pa.Table, labels: Int64s) -> pa.Table:
    """Return the decision on each of `members` (`id text_hash n_chars`), whose clusters are `labels` [n], by id.

    The longest text of a cluster is kept, the smallest id among equals. A removed document is an exact duplicate if the
    same text has a smaller id; the others are near-duplicates.
    """
    # 41 million ids of 52 bytes are more than the 32-bit offsets of a string array can count.
    members = members.set_column(members.schema.get_field_index("id"), "id", members["id"].cast(pa.large_string()))
    members = members.append_column("label", pa.array(labels))
    members = members.sort_by([("label", "ascending"), ("n_chars", "descending"), ("id", "ascending")])
    label = members["label"].to_numpy()
    kept = np.ones(len(label), dtype=bool)
    kept[1:] = label[1:] != label[:-1]
    keeper = np.flatnonzero(kept)[np.cumsum(kept) - 1]

    # Equal texts of a cluster are equally long, but another text of that length may lie between them.
    by_text = pc.sort_indices(members, [("text_hash", "ascending"), ("id", "ascending")]).to_numpy()
    words = text_hash_words(members["text_hash"])[by_text]
    repeated = np.zeros(len(label), dtype=bool)
    repeated[by_text[1:]] = np.all(words[1:] == words[:-1], axis=1)
    reason = pc.if_else(pa.array(kept), None, pc.if_else(pa.array(repeated), EXACT, NEAR))
    columns = [members["id"], pa.array(kept), members["id"].take(pa.array(keeper)), reason]
    return pa.table(columns, schema=_DECISIONS).sort_by("id")


def duplicate_decisions(read: Reader, edges: Int64s) -> pa.Table:
    """Return a row of `_DECISIONS` for each document that has a duplicate, sorted by id.

    `edges` [m, 2] are those of all partitions, in any order. Holds the edges and the documents they touch in memory.
    """
    rows, labels = connected_components(edges)
    if len(rows) == 0:
        return _DECISIONS.empty_table()
    members = pa.concat_tables(_taken(read, ["id", "text_hash", "n_chars"], rows))
    return cluster_decisions(members, labels)


def duplicates_table(ids: pa.ChunkedArray | pa.Array, decisions: pa.Table) -> pa.Table:
    """Return the decision on each of `ids`, in their order; cluster and reason are null where it has no duplicate."""
    places = pc.index_in(ids.cast(decisions["id"].type), value_set=decisions["id"])
    found = decisions.select(["kept", "cluster", "reason"]).take(places)
    kept = pc.fill_null(found["kept"], True)
    return pa.table([ids, kept, found["cluster"].cast(pa.string()), found["reason"]], schema=DUPLICATES)
