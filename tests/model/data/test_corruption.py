"""What is hidden from an encoder, and that nothing of it depends on how a step is divided."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.base.sizes import ModelShape, reserved_ids
from model.data.corrupted_sequences import CorruptedSequences
from model.data.corruption import Corrupted, Corruption, MaskedSpans, MaskedTokens, corruption_of
from model.data.packed_sequences import IGNORED, PADDING_SEGMENT, Batch, IntArray, Packing

TOP = 999
MASKED, SPANS = MaskedTokens(TOP), MaskedSpans(TOP)
segments = st.builds(
    lambda length, seed: (np.random.default_rng(seed).integers(900, size=length), np.random.default_rng([seed, 1])),
    st.integers(2, 400),
    st.integers(0, 99),
)


def restored(corrupted: Corrupted) -> list[int]:
    """The text again: each sentinel replaced by what the answer says of it."""
    spans: dict[int, list[int]] = {}
    for token in [int(corrupted.answer[0]), *corrupted.targets.tolist()]:
        if token > 900:
            spans[token] = []
            current = spans[token]
        else:
            current.append(token)
    text = [spans[token] if token > 900 else [token] for token in corrupted.shown.tolist()]
    return [token for part in text for token in part]


@given(segments)
def test_masked_tokens_are_predicted_in_place(segment: tuple[IntArray, np.random.Generator]) -> None:
    tokens, draws = segment
    found = MASKED.corrupt(tokens, draws)
    asked = found.targets != IGNORED
    assert asked.sum() == MASKED.target_counts(np.array([len(tokens)]))[0] == max(1, (15 * len(tokens) + 50) // 100)
    assert (found.targets[asked] == tokens[asked]).all() and (found.shown[~asked] == tokens[~asked]).all()


def test_most_masked_tokens_are_shown_as_the_mask() -> None:
    tokens = np.random.default_rng(0).integers(900, size=100_000)
    found = MASKED.corrupt(tokens, np.random.default_rng(1))
    asked = found.targets != IGNORED
    masked, kept = (found.shown[asked] == TOP).mean(), (found.shown[asked] == tokens[asked]).mean()
    assert masked == pytest.approx(0.8, abs=0.01) and kept == pytest.approx(0.1, abs=0.01)
    assert found.shown[asked & (found.shown != TOP)].max() < TOP


@given(segments)
def test_spans_and_their_answer_give_the_text_again(segment: tuple[IntArray, np.random.Generator]) -> None:
    tokens, draws = segment
    found = SPANS.corrupt(tokens, draws)
    assert restored(found) == tokens.tolist()
    assert len(found.targets) == len(found.answer) == SPANS.target_counts(np.array([len(tokens)]))[0] <= len(tokens)
    assert (found.answer[1:] == found.targets[:-1]).all()
    sentinels = found.shown[found.shown > 900]
    assert sentinels.tolist() == [TOP - number for number in range(len(sentinels))]
    assert found.targets[-1] == TOP - len(sentinels), "one more sentinel ends the answer"
    assert len(sentinels) + 1 <= reserved_ids("span_corruption", len(tokens))


def test_spans_are_three_tokens_long_on_average() -> None:
    tokens = np.arange(400)
    found = SPANS.corrupt(tokens, np.random.default_rng(0))
    assert len(tokens) - (found.shown < 900).sum() == 60 and (found.shown > 900).sum() == 20
    assert restored(found) == tokens.tolist()


def test_a_lone_span_may_be_anywhere() -> None:
    draws = np.random.default_rng(0)
    places = [SPANS.corrupt(np.arange(8), draws).shown.tolist().index(TOP) for _ in range(400)]
    assert np.bincount(places, minlength=8).min() > 30


def test_a_segment_of_one_token_is_left_alone() -> None:
    one = np.array([7])
    for corruption in (MASKED, SPANS):
        found = corruption.corrupt(one, np.random.default_rng(0))
        assert found.shown.tolist() == [7] and not (found.targets >= 0).any()


def test_an_example_of_each() -> None:
    tokens = np.arange(1, 13)
    masked = MASKED.corrupt(tokens, np.random.default_rng(4))
    spans = SPANS.corrupt(tokens, np.random.default_rng(4))
    assert (masked.shown.tolist(), masked.targets.tolist()) == (
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 999],
        [-100, -100, -100, -100, -100, -100, -100, 8, -100, -100, -100, 12],
    ), "the 8 is asked for and shown as it is"
    assert spans.shown.tolist() == [1, 2, 3, 4, 5, 6, 7, 999, 10, 11, 12]
    assert (spans.answer.tolist(), spans.targets.tolist()) == ([999, 8, 9], [8, 9, 998])


def test_the_ids_are_the_topmost() -> None:
    shape = ModelShape(100, 1, 8, 1, 1, 8, 40)
    assert corruption_of("causal", shape) is None
    assert corruption_of("masked", shape) == MaskedTokens(99)
    assert corruption_of("span_corruption", shape) == MaskedSpans(99)


def packed(corruption: Corruption) -> CorruptedSequences:
    """Seven sequences of several segments of a flat array of 300 tokens, some full to the last token."""
    lengths = np.array([33, 10, 23, 1, 2, 30, 33, 5, 5, 5, 16, 1, 32, 20, 2])
    packing = Packing(np.array([0, 1, 3, 6, 7, 11, 13, 15]), np.cumsum(lengths) - lengths, lengths)
    return CorruptedSequences(np.arange(300, dtype=np.uint16), packing, 32, 4, 5, corruption)


def predicted(batch: Batch) -> list[list[int]]:
    """The targets of each row."""
    return [row[row != IGNORED].tolist() for row in batch.targets]


def visible(batch: Batch) -> list[list[int]]:
    """The inputs of each row without padding."""
    assert batch.segments is not None
    return [row[mark >= 0].tolist() for row, mark in zip(batch.inputs, batch.segments, strict=True)]


@pytest.mark.parametrize("corruption", [MASKED, SPANS], ids=["masked", "spans"])
def test_batches_do_not_depend_on_the_number_of_processes(corruption: Corruption) -> None:
    for step in range(4):
        whole = packed(corruption).batch(step, 0, 1)
        for world in (2, 3, 5):
            parts = [packed(corruption).batch(step, rank, world) for rank in range(world)]
            assert {part.targets_in_step for part in parts} == {whole.targets_in_step}
            asked = [row for part in parts for row in predicted(part) if row]
            assert asked == predicted(whole)
            assert [row for part in parts for row in visible(part) if row] == visible(whole)


@pytest.mark.parametrize("corruption", [MASKED, SPANS], ids=["masked", "spans"])
def test_a_batch_counts_its_predictions_and_fits_the_context(corruption: Corruption) -> None:
    data = packed(corruption)
    for step in range(6):
        batch = data.batch(step, 0, 1)
        assert batch.segments is not None and batch.segments.shape == batch.inputs.shape
        assert (batch.targets != IGNORED).sum() == batch.targets_in_step
        columns = batch.targets.shape[1]
        assert columns <= 32 and batch.inputs.shape[1] - (columns if corruption.has_answers else 0) <= 32
        predicted_in = batch.segments[:, -columns:][batch.targets != IGNORED]
        assert (predicted_in != PADDING_SEGMENT).all()


def test_what_is_hidden_is_drawn_again_in_each_epoch() -> None:
    data = packed(MASKED)
    orders = [data.sequences_of_step(step).tolist() for step in (0, 1, 2, 3)]
    places = [(step, order.index(0)) for step, order in enumerate(orders) if 0 in order]
    seen = [data.batch(step, 0, 1).targets[row] for step, row in places]
    assert len(seen) >= 2 and seen[0].tolist() != seen[1].tolist()
