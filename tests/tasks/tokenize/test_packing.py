"""The packing plan: each token a target once, no row over its capacity, little padding, always the same plan."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.base.errors import PermanentError
from tasks.dataset.schemas import PACKING
from tasks.tokenize.best_fit import Plan, best_fit, cut, packing_counters, plan_table


def one_at_a_time(lengths: np.ndarray, capacity: int) -> int:
    """The number of rows of best fit decreasing as the textbook has it."""
    rooms: list[int] = []
    for length in sorted(cut(lengths, capacity).length.tolist(), reverse=True):
        fitting = [room for room in rooms if room >= length]
        room = min(fitting, default=capacity)
        if fitting:
            rooms.remove(room)
        rooms.append(room - length)
    return len(rooms)


def assert_sound(plan: Plan, lengths: list[int], capacity: int) -> None:
    """Every target once, no row too full, all arrays in order."""
    targets = [np.zeros(length, dtype=int) for length in lengths]
    for document, start, length in zip(plan.document, plan.start, plan.length, strict=True):
        assert start >= 0
        assert start + length <= lengths[document]
        targets[document][start + 1 : start + length] += 1
    for covered in targets:
        assert not covered[:1].any()
        assert (covered[1:] == 1).all()
    if plan.sequences:
        assert np.bincount(plan.sequence, weights=plan.length, minlength=plan.sequences).max() <= capacity
        assert np.array_equal(np.unique(plan.sequence), np.arange(plan.sequences))
        assert (np.diff(plan.sequence) >= 0).all()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 70), max_size=60), st.integers(2, 33))
def test_each_token_but_a_documents_first_is_a_target_once(lengths: list[int], capacity: int) -> None:
    plan = best_fit(np.array(lengths, dtype=np.int64), capacity)
    assert_sound(plan, lengths, capacity)
    assert plan.sequences == one_at_a_time(np.array(lengths, dtype=np.int64), capacity)
    counters = packing_counters(plan, capacity)
    assert counters["targets"] == sum(max(0, length - 1) for length in lengths)
    assert counters["tokens"] + counters["padding"] == counters["sequences"] * capacity


def test_pieces_overlap_by_the_token_that_would_not_be_predicted() -> None:
    pieces = cut(np.array([9, 1, 5, 6, 0]), 5)
    assert pieces.document.tolist() == [0, 0, 2, 3, 3]
    assert pieces.start.tolist() == [0, 4, 0, 0, 4]
    assert pieces.length.tolist() == [5, 5, 5, 5, 2]


def test_best_fit_takes_the_tightest_row() -> None:
    plan = best_fit(np.array([7, 6, 3, 4, 2]), 10)
    rows = sorted(plan.length[plan.sequence == row].tolist() for row in range(plan.sequences))
    assert rows == [[2], [6, 4], [7, 3]]


def test_hardly_any_padding_on_lengths_like_the_webs() -> None:
    lengths = np.clip(np.random.default_rng(0).lognormal(6.5, 1.0, 20_000).astype(np.int64), 5, 100_000)
    counters = packing_counters(best_fit(lengths, 2049), 2049)
    assert counters["padding"] < 0.002 * counters["tokens"]


def test_sequences_are_shuffled_by_seed_and_rows_are_the_same() -> None:
    lengths = np.random.default_rng(1).integers(5, 200, 500)
    first, again, other = (best_fit(lengths, 65, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.document, again.document)
    assert not np.array_equal(first.document, other.document)

    def rows(plan: Plan) -> list[list[tuple[int, int]]]:
        pairs: list[list[tuple[int, int]]] = [[] for _ in range(plan.sequences)]
        for sequence, document, start in zip(plan.sequence, plan.document, plan.start, strict=True):
            pairs[sequence].append((int(document), int(start)))
        return sorted(pairs)

    assert rows(first) == rows(other)
    longest = first.length[np.flatnonzero(np.diff(first.sequence, prepend=-1))]
    assert abs(np.corrcoef(np.arange(len(longest)), longest)[0, 1]) < 0.2


def test_plan_table_is_frozen() -> None:
    parts, rows = np.array([0, 0, 3], dtype=np.int32), np.array([5, 6, 0], dtype=np.int32)
    table = plan_table(parts, rows, best_fit(np.array([4, 12, 3]), 8))
    assert table.schema == PACKING
    assert table.to_pylist() == [
        {"sequence": 0, "segments": [{"part": 0, "row": 6, "start": 0, "length": 8}]},
        {"sequence": 1, "segments": [{"part": 0, "row": 5, "start": 0, "length": 4}]},
        {
            "sequence": 2,
            "segments": [
                {"part": 0, "row": 6, "start": 7, "length": 5},
                {"part": 3, "row": 0, "start": 0, "length": 3},
            ],
        },
    ]


@pytest.mark.parametrize("lengths", [[], [1, 0]])
def test_nothing_to_train_on_is_an_error(lengths: list[int]) -> None:
    rows = np.arange(len(lengths), dtype=np.int32)
    with pytest.raises(PermanentError, match="Nothing to train on"):
        plan_table(rows, rows, best_fit(np.array(lengths, dtype=np.int64), 2049))
