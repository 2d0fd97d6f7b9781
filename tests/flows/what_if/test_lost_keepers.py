"""Duplicates whose kept document goes: one of each such cluster is likely to return, others may."""

import numpy as np
import pyarrow as pa

from flows.what_if.lost_keepers import LostKeepers

PARTS: list[list[tuple[str, str | None, bool]]] = [
    [("a", None, False), ("a1", "a", True), ("b", None, True), ("b1", "b", False)],
    [("a2", "a", True), ("b2", "b", True), ("c", None, True), ("c1", "c", True), ("alone", None, False)],
]
"""Documents as (id, the document kept in its place, whether it still reaches the corpus), part by part."""


def returning(parts: list[list[tuple[str, str | None, bool]]]) -> tuple[int, int]:
    found = LostKeepers()
    for part in parts:
        ids, kept_instead, reached = zip(*part, strict=True)
        decisions = pa.table({"id": pa.array(ids), "duplicate_of": pa.array(kept_instead, pa.string())})
        reaches = np.array(reached)
        found.add(
            LostKeepers.of_part(decisions, reaches, reaches & np.array([one is not None for one in kept_instead]))
        )
    return found.returning()


def test_one_of_a_cluster_returns_and_others_may() -> None:
    """a is lost: a1 or a2 stays, or both; b lost a copy, which may be all that made b2 one; c lost nothing."""
    assert returning(PARTS) == (1, 3)


def test_parts_are_counted_in_any_order() -> None:
    assert returning(PARTS[::-1]) == returning(PARTS)


def test_nothing_returns_where_nothing_is_lost() -> None:
    assert returning([[(one, kept, True) for one, kept, _ in part] for part in PARTS]) == (0, 0)
    assert LostKeepers().returning() == (0, 0)
