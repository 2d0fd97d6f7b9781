"""Duplicates that return when documents of their clusters no longer reach the corpus.

Notable: clusters are counted across all parts by hashes of their ids, 8 bytes for each document that goes and for each
duplicate that is left. How a cluster splits that lost a document is not known without the texts, so this gives the
likely number and the most.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.base.hashing import UInt64s, hash_strings
from tasks.dataset.rules import Bools

COLUMNS = ("id", "duplicate_of")
"""The columns that are read of the corpus stage's decisions."""


@dataclass
class LostKeepers:
    """Hashes of clusters, each named by the document that was kept for it: lists of arrays [n], one for each part."""

    keepers: list[UInt64s] = field(default_factory=list)
    """Documents that would go and are no duplicates: each may be the one that was kept for a cluster."""
    copies: list[UInt64s] = field(default_factory=list)
    """The clusters of duplicates that would go."""
    left: list[UInt64s] = field(default_factory=list)
    """The clusters of duplicates that are left and have nothing else against them."""

    @staticmethod
    def of_part(decisions: pa.Table, reached: Bools, waiting: Bools) -> LostKeepers:
        """Count one part; `waiting` marks the documents that are removed only for being duplicates."""
        lost = decisions.filter(~reached)
        is_keeper = pc.is_null(lost["duplicate_of"])
        return LostKeepers(
            [_hashes(lost["id"].filter(is_keeper))],
            [_hashes(lost["duplicate_of"].drop_null())],
            [_hashes(decisions["duplicate_of"].filter(waiting).drop_null())],
        )

    def add(self, other: LostKeepers) -> None:
        """Add another part's."""
        self.keepers += other.keepers
        self.copies += other.copies
        self.left += other.left

    def returning(self) -> tuple[int, int]:
        """Return how many duplicates are likely to return, and how many at most.

        One is likely to return for each cluster whose keeper is lost. At most all that are left of a cluster return,
        if it loses any document: that one may be all that links the others.
        """
        none = np.empty(0, np.uint64)
        keepers, copies, left = (np.concatenate([none, *some]) for some in (self.keepers, self.copies, self.left))
        orphaned = np.isin(left, keepers)
        return len(np.unique(left[orphaned])), int((orphaned | np.isin(left, copies)).sum())


def _hashes(ids: pa.ChunkedArray) -> UInt64s:
    return hash_strings(ids.to_pylist())
