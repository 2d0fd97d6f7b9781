"""Batches are a pure function of plan, seed, step and place; padding is never learnt."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.data.packed_sequences import IGNORED, PADDING_SEGMENT, PackedSequences, Packing

CONTEXT = 12


@st.composite
def packings(draw: st.DrawFn) -> Packing:
    """Up to 9 sequences of up to 4 segments, none longer than the context takes."""
    sequences = draw(
        st.lists(
            st.lists(st.integers(1, 6), min_size=1, max_size=4).filter(lambda lengths: sum(lengths) <= CONTEXT + 1),
            min_size=1,
            max_size=9,
        )
    )
    lengths = np.array([length for sequence in sequences for length in sequence], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum([len(sequence) for sequence in sequences])]).astype(np.int64)
    return Packing(offsets, np.concatenate([[0], np.cumsum(lengths)])[:-1].astype(np.int64), lengths)


def sequences_of(packing: Packing, per_step: int, seed: int = 0) -> PackedSequences:
    """A stream over tokens that are all different, so that each can be told from every other."""
    tokens = np.arange(1000, 1000 + int(packing.lengths.sum()), dtype=np.uint16)
    return PackedSequences(tokens, packing, CONTEXT, per_step, seed)


@given(packings(), st.integers(1, 7), st.integers(0, 30), st.integers(1, 5))
def test_any_number_of_processes_sees_the_same_step(packing: Packing, per_step: int, step: int, world: int) -> None:
    data = sequences_of(packing, per_step)
    whole = data.batch(step, 0, 1)
    shares = [data.batch(step, rank, world) for rank in range(world)]
    inputs = [row[row > 0].tolist() for share in shares for row in share.inputs if (row > 0).any()]
    assert inputs == [row[row > 0].tolist() for row in whole.inputs if (row > 0).any()]
    targets = [target for share in shares for row in share.targets for target in row if target != IGNORED]
    assert targets == [target for row in whole.targets for target in row if target != IGNORED]
    assert {share.targets_in_step for share in shares} == {whole.targets_in_step} == {len(targets)}
    assert {share.tokens_in_step for share in shares} == {whole.tokens_in_step}
    assert max(len(share.inputs) for share in shares) - min(len(share.inputs) for share in shares) <= 1


@given(packings(), st.integers(1, 7), st.integers(0, 3))
def test_an_epoch_shows_every_sequence_once(packing: Packing, per_step: int, seed: int) -> None:
    data = sequences_of(packing, per_step, seed)
    steps = 3 * packing.sequences
    order = np.concatenate([data.sequences_of_step(step) for step in range(steps)])
    for epoch in range(len(order) // packing.sequences):
        part = order[epoch * packing.sequences : (epoch + 1) * packing.sequences]
        assert sorted(part) == list(range(packing.sequences))


@given(packings(), st.integers(1, 4), st.integers(0, 10))
def test_targets_are_the_next_token_of_the_same_segment(packing: Packing, per_step: int, step: int) -> None:
    data = sequences_of(packing, per_step)
    batch = data.batch(step, 0, 1)
    for row, sequence in enumerate(data.sequences_of_step(step)):
        first, last = packing.offsets[sequence : sequence + 2]
        predicted = [
            1000 + int(start) + offset
            for start, length in zip(packing.starts[first:last], packing.lengths[first:last], strict=True)
            for offset in range(1, length)
        ]
        counted = batch.targets[row] != IGNORED
        assert batch.targets[row][counted].tolist() == predicted
        assert (batch.inputs[row][counted] == batch.targets[row][counted] - 1).all()
        if batch.segments is not None:
            assert not counted[batch.segments[row] == PADDING_SEGMENT].any()


def test_the_same_call_gives_the_same_batch_in_any_order() -> None:
    packing = Packing(np.arange(8), np.arange(0, 70, 10), np.full(7, 10))
    one, other = sequences_of(packing, 3), sequences_of(packing, 3)
    forwards = [one.batch(step, 0, 1).inputs.tolist() for step in range(9)]
    backwards = [other.batch(step, 0, 1).inputs.tolist() for step in reversed(range(9))]
    assert forwards == backwards[::-1]
    assert sequences_of(packing, 3, seed=1).batch(0, 0, 1).inputs.tolist() != forwards[0]


def test_sequences_of_one_segment_need_no_segment_ids() -> None:
    single = Packing(np.array([0, 1, 2]), np.array([0, 5]), np.array([5, 8]))
    assert sequences_of(single, 2).batch(0, 0, 1).segments is None
    double = Packing(np.array([0, 2]), np.array([0, 5]), np.array([5, 8]))
    segments = sequences_of(double, 1).batch(0, 0, 1).segments
    assert segments is not None and segments[0].tolist() == [0] * 5 + [1] * 7


def test_only_marked_tokens_are_targets() -> None:
    packing = Packing(np.array([0, 2]), np.array([0, 4]), np.array([4, 3]))
    trained = np.array([True, False, True, True, True, False, True])
    data = PackedSequences(np.arange(10, 17), packing, CONTEXT, 1, 0, trained)
    batch = data.batch(0, 0, 1)
    assert batch.targets[0][batch.targets[0] != IGNORED].tolist() == [12, 13, 16]
    assert batch.targets_in_step == 3 and batch.tokens_in_step == 7
