"""Counts of addresses by registered domain."""

from collections import Counter
from functools import lru_cache
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from flows.store.datasets import value_counts
from tasks.extract.url_rules import registered_domain

Key = TypeVar("Key", str, tuple[str, str])
_MOST = 100_000
"""Domains that are counted; beyond that the rare ones are dropped, and the total is then too small."""


def count_domains(urls: pa.Array | pa.ChunkedArray) -> Counter[str]:
    """Count the registered domains of these addresses; "" stands for no address."""
    # scheme, nothing, authority; an address with fewer slashes gives an empty list.
    pieces = pc.list_slice(pc.split_pattern(pc.fill_null(urls, ""), "/", max_splits=3), 2, 3)
    authorities = pc.list_flatten(pieces)
    found: Counter[str] = Counter()
    for authority, count in value_counts(authorities).items():
        found[_domain(authority)] += count
    found[""] += len(urls) - len(authorities)
    return +found


@lru_cache(maxsize=1 << 16)
def _domain(authority: str) -> str:
    """Return e.g. `example.org` for `user@www.Example.org:8080`."""
    host = authority.rpartition("@")[2].partition(":")[0].lower().strip(".")
    return registered_domain(host) if host else ""


def keep_frequent(counts: Counter[Key]) -> Counter[Key]:
    """Return the counts, without the rare ones where there are very many."""
    return counts if len(counts) <= 2 * _MOST else Counter(dict(counts.most_common(_MOST)))
