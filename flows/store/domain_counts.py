"""How many of some addresses are in each domain."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from tasks.extract.url_rules import registered_domain

_MOST = 100_000
"""Domains that are counted; with more of them the rare ones are forgotten, and what they add up to is then less."""


def count_domains(urls: pa.Array | pa.ChunkedArray) -> Counter[str]:
    """The registered domains of these addresses; "" stands for no address."""
    # scheme, nothing, authority: of an address with fewer slashes nothing is left.
    pieces = pc.list_slice(pc.split_pattern(pc.fill_null(urls, ""), "/", max_splits=3), 2, 3)
    authorities = pc.list_flatten(pieces)
    found: Counter[str] = Counter()
    for counted in pc.value_counts(authorities):
        found[_domain(counted["values"].as_py())] += counted["counts"].as_py()
    found[""] += len(urls) - len(authorities)
    return +found


@lru_cache(maxsize=1 << 16)
def _domain(authority: str) -> str:
    """`example.org` of `user@www.Example.org:8080`."""
    host = authority.rpartition("@")[2].partition(":")[0].lower().strip(".")
    return registered_domain(host) if host else ""


def keep_frequent(counts: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """The counts, without the rare ones where there are very many."""
    return counts if len(counts) <= 2 * _MOST else Counter(dict(counts.most_common(_MOST)))
