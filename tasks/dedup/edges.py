"""Pairs of documents that are duplicates, found by a join over band keys.

Notable: the join is split by key into partitions, so a partition bounds the memory, not the corpus. What it finds does
not depend on the number of partitions, on the order of documents or on the workers. Candidates are compared by sketch
before they are linked, because chains of weak candidates merge templated pages into one cluster of thousands.

A document is known by its place, a number: `place_of` its part and its row there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.base.config import Config
from tasks.base.hashing import UInt64s, text_hash_words
from tasks.dedup.minhash import NO_KEY, estimated_similarity

Int64s = npt.NDArray[np.int64]
Reader = Callable[[list[str]], Iterable[pa.Table]]
"""Reads the named columns of the same tables, always in the same order."""
_ROW_BITS = 32


class DuplicatesConfig(Config):
    """How candidates are joined, and how similar duplicates must be."""

    partitions: int = Field(default=4, ge=1)
    """Parts into which the join on band keys is split: each holds 1/partitions of the keys in memory.
    Decides nothing."""
    minimum_similarity: float = Field(default=0.7, ge=0, le=1)
    """Estimated Jaccard similarity of shingles (0 to 1) below which candidates are not linked; 0 links all candidates,
    as FineWeb does."""
    earlier: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")], ...] = ()
    """Corpora of earlier crawls in the same store, by fingerprint and the oldest first: a document that one of these
    crawls had already is a duplicate, however long it is. Their signatures are compared, and no text is read again.
    `watch-crawls` fills it in where `earlier_crawls.duplicates` says so."""


@dataclass(frozen=True)
class Entries:
    """Documents in the buckets of the join: one entry for each document and bucket, all arrays [n_entries]."""

    key: UInt64s
    """The bucket."""
    n_chars: Int64s
    text: UInt64s
    """High half of the document's text hash: orders documents of equal length by their content."""
    place: Int64s

    @staticmethod
    def concatenate(several: list[Entries]) -> Entries:
        """Return all entries of `several`, of which there is at least one."""
        columns = ([getattr(entries, field.name) for entries in several] for field in fields(Entries))
        return Entries(*map(np.concatenate, columns))


def place_of(part: int, row: Int64s | int = 0) -> Int64s:
    """Return the places of rows of part `part`; those of a part lie together, in the order of the parts."""
    return np.asarray(row, dtype=np.int64) + (np.int64(part) << _ROW_BITS)


def part_of(places: Int64s) -> Int64s:
    """Return the part that each place is in, [n]."""
    return places >> _ROW_BITS


def row_of(places: Int64s) -> Int64s:
    """Return the row of each place within its part, [n]."""
    return places & np.int64((1 << _ROW_BITS) - 1)


def distinct(places: Int64s) -> Int64s:
    """Return each of the places once, in order, [n].

    `np.unique` hashes integers by their low bits (numpy 2.3), in which most places of a crawl are equal.
    """
    ordered = np.sort(places, axis=None)
    new = np.ones(len(ordered), dtype=bool)
    new[1:] = ordered[1:] != ordered[:-1]
    return ordered[new]


def _distinct_edges(edges: Int64s) -> Int64s:
    """Return the edges [m, 2] as (smaller place, larger place), sorted, each once."""
    ordered = np.sort(edges, axis=1)
    ordered = ordered[np.lexsort((ordered[:, 1], ordered[:, 0]))]
    new = np.ones(len(ordered), dtype=bool)
    new[1:] = np.any(ordered[1:] != ordered[:-1], axis=1)
    return ordered[new]


def positions_in(ordered: Int64s, wanted: Int64s) -> Int64s:
    """Return what `np.searchsorted` does, in the shape of `wanted`.

    Looked for in their order, since at random each misses the caches: a seventh of the time among ten million.
    """
    flat = wanted.ravel()
    by_value = np.argsort(flat)
    found = np.empty(len(flat), dtype=np.int64)
    found[by_value] = np.searchsorted(ordered, flat[by_value])
    return found.reshape(wanted.shape)


def partition_of(keys: UInt64s, partitions: int) -> Int64s:
    """Return the partition of the join that band keys and high halves of text hashes belong to, [n]."""
    return (keys % np.uint64(partitions)).astype(np.int64)


def band_entries(table: pa.Table, partition: int, partitions: int) -> Entries:
    """Return one partition's entries of a table with `place bands n_chars text_hash`."""
    bands = table["bands"].combine_chunks()
    keys = bands.flatten().to_numpy()
    lengths = pc.fill_null(pc.list_value_length(bands), 0).to_numpy()
    owners = np.repeat(np.arange(table.num_rows, dtype=np.int64), lengths)
    here = (partition_of(keys, partitions) == partition) & (keys != NO_KEY)
    owners = owners[here]
    text = text_hash_words(table["text_hash"])[:, 0]
    return Entries(keys[here], table["n_chars"].to_numpy()[owners], text[owners], table["place"].to_numpy()[owners])


def candidate_edges(entries: Entries) -> Int64s:
    """Return pairs of documents worth comparing, [m, 2] places.

    Each document of a bucket is paired with the bucket's longest and with the next longer one: two pairs a document,
    where all pairs would be quadratic, and still a chain through the whole bucket.
    """
    order = np.lexsort((entries.place, entries.text, -entries.n_chars, entries.key))
    key, place = entries.key[order], entries.place[order]
    if len(key) == 0:
        return np.empty((0, 2), dtype=np.int64)
    first = np.ones(len(key), dtype=bool)
    first[1:] = key[1:] != key[:-1]
    longest = place[np.flatnonzero(first)[np.cumsum(first) - 1]]
    later = ~first
    to_longest = np.stack([longest[later], place[later]], axis=1)
    to_next = np.stack([place[:-1][later[1:]], place[1:][later[1:]]], axis=1)
    return _distinct_edges(np.concatenate([to_longest, to_next]))


def exact_edges(words: UInt64s, places: Int64s) -> Int64s:
    """Return a chain through the documents of each text hash, [m, 2] places; `words` [n, 2] are the hash's halves."""
    order = np.lexsort((places, words[:, 1], words[:, 0]))
    words, places = words[order], places[order]
    same = np.all(words[1:] == words[:-1], axis=1)
    return _distinct_edges(np.stack([places[:-1][same], places[1:][same]], axis=1))


def similar_edges(
    edges: Int64s, places: Int64s, sketches: npt.NDArray[np.uint8], minimum: float, batch: int = 65536
) -> Int64s:
    """Return the `edges` whose ends are similar enough; `places[i]` (sorted) has the sketch `sketches[i]`."""
    ends = positions_in(places, edges)
    similar = np.empty(len(edges), dtype=bool)
    for start in range(0, len(edges), batch):
        left, right = ends[start : start + batch].T
        similar[start : start + batch] = estimated_similarity(sketches[left], sketches[right]) >= minimum
    return edges[similar]


def _sketches_of(read: Reader, places: Int64s) -> npt.NDArray[np.uint8]:
    """Return the sketches of the documents at `places` (sorted, not empty, all of them read), [n, permutations]."""
    joined = []
    for table in read(["place", "sketch"]):
        here = table["place"].to_numpy()
        asked_for = places[np.minimum(np.searchsorted(places, here), len(places) - 1)] == here
        sketches = table["sketch"].filter(pa.array(asked_for))
        if len(sketches):
            data = np.frombuffer(b"".join(sketches.to_pylist()), dtype=np.uint8)
            joined.append(data.reshape(len(sketches), -1))
    return np.concatenate(joined)


def partition_edges(read: Reader, partition: int, config: DuplicatesConfig) -> Int64s:
    """Return the edges between duplicates that partition `partition` of the join finds, [m, 2] places, sorted.

    Reads the columns `place bands n_chars text_hash` once, and `sketch` once if candidates are to be compared; the
    places ascend. Documents and keys of other partitions are passed over. Equal texts are always linked, whether they
    have a signature or not.
    """
    entries, exact_words, exact_places = [], [], []
    for table in read(["place", "bands", "n_chars", "text_hash"]):
        if table.num_rows == 0:
            continue
        entries.append(band_entries(table, partition, config.partitions))
        words = text_hash_words(table["text_hash"])
        here = partition_of(words[:, 0], config.partitions) == partition
        exact_words.append(words[here])
        exact_places.append(table["place"].to_numpy()[here])
    if not entries:
        return np.empty((0, 2), dtype=np.int64)
    near = candidate_edges(Entries.concatenate(entries))
    exact = exact_edges(np.concatenate(exact_words), np.concatenate(exact_places))
    del entries
    if config.minimum_similarity > 0 and len(near):
        places = distinct(near)
        near = similar_edges(near, places, _sketches_of(read, places), config.minimum_similarity)
    return _distinct_edges(np.concatenate([near, exact]))
