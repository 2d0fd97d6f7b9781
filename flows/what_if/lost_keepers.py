"""Duplicates that come back when documents of their clusters do not reach the corpus any more.

Notable: clusters are counted across all parts by hashes of their ids, 8 bytes for each document that goes and for each
duplicate that is left. How a cluster that lost a document falls apart is not known without the texts, so this gives
what is likely and what is the most.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.base.hashing import UInt64s, hash_strings
from tasks.dataset.rules import Bools

COLUMNS = ("id", "duplicate_of")
"""What is read of the corpus stage's decisions."""


@dataclass
class LostKeepers:
    """Hashes of clusters, each named by the document that was kept for it; a list of arrays [n], one for each part."""

    keepers: list[UInt64s] = field(default_factory=list)
    """Documents that would go and are no duplicates: each may be the one that was kept for a cluster."""
    copies: list[UInt64s] = field(default_factory=list)
    """The clusters of duplicates that would go."""
    left: list[UInt64s] = field(default_factory=list)
    """The clusters of duplicates that are left and have nothing else against them."""

    @staticmethod
    def of_part(decisions: pa.Table, reached: Bools, waiting: Bools) -> LostKeepers:
        """What one part holds; `waiting` says which documents are kept out only for being duplicates."""
        lost = decisions.filter(~reached)
        is_keeper = pc.is_null(lost["duplicate_of"])
        return LostKeepers(
            [_hashes(lost["id"].filter(is_keeper))],
            [_hashes(lost["duplicate_of"].drop_null())],
            [_hashes(decisions["duplicate_of"].filter(waiting).drop_null())],
        )

    def add(self, other: LostKeepers) -> None:
        """Take in another part's."""
        self.keepers += other.keepers
        self.copies += other.copies
        self.left += other.left

    def returning(self) -> tuple[int, int]:
        """How many duplicates are likely to return, and how many at most.

        One is likely to return for each cluster whose keeper is lost. At most it is all that are left of the clusters
        that lose any document, for one of those may be all that links another to its cluster.
        """
        keepers, copies, left = (_joined(some) for some in (self.keepers, self.copies, self.left))
        orphaned = np.isin(left, keepers)
        return len(np.unique(left[orphaned])), int((orphaned | np.isin(left, copies)).sum())


def _hashes(ids: pa.ChunkedArray) -> UInt64s:
    return hash_strings(ids.to_pylist())


def _joined(arrays: list[UInt64s]) -> UInt64s:
    return np.concatenate([np.empty(0, np.uint64), *arrays])
