"""Pretraining text behind the replies: which, where, and what it keeps."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model.data.packed_sequences import IGNORED, PADDING_SEGMENT, Batch, reply_rows
from model.data.token_cache import open_token_cache
from model.reinforcement.grpo_loss import grpo_loss
from model.reinforcement.replay import ReplayedText, with_text_behind
from tests.model.objectives.test_loss import tiny_model
from tests.model.tiny_corpus import TinyCorpus

REPLIES = [((1, 2, 3), (4, 5)), ((6,), (7, 8, 9, 10))]
LENGTHS = [4, 4]


def batch() -> Batch:
    """Two replies, their advantages and what the reference says of them."""
    inputs, targets = reply_rows(REPLIES, 64, 0)
    columns = np.array([1.0, -1.0], np.float32), np.ones(inputs.shape, np.float32)
    return Batch(inputs, targets, None, 6, 10, columns)


def test_pieces_are_of_documents_that_are_trained_on(corpus: TinyCorpus, tmp_path: Path) -> None:
    cache = open_token_cache(corpus.tokens, tmp_path)
    text = ReplayedText(cache, 3)
    documents = [cache.document(number).tolist() for number in range(len(cache.validation))]
    trained = [ids for ids, aside in zip(documents, cache.validation, strict=True) if not aside]
    for row in range(20):
        piece = text.piece(5, row, 9).tolist()
        assert len(piece) == 10 and any(piece == ids[at : at + 10] for ids in trained for at in range(len(ids)))
    same, other, long = text.piece(5, 0, 9), text.piece(6, 0, 9), text.piece(5, 0, 10**6).tolist()
    assert same.tolist() == text.piece(5, 0, 9).tolist() != other.tolist()
    assert long in trained, "a document ends where it ends"


def test_text_stands_behind_its_reply_and_neither_sees_the_other() -> None:
    pieces = [np.arange(20, 26), np.arange(30, 91)]
    found = with_text_behind(batch(), LENGTHS, pieces, 64)
    advantages, reference, is_text = found.columns
    assert found.inputs.shape == found.targets.shape == is_text.shape == reference.shape == (2, 64)
    assert found.inputs[0, :9].tolist() == [1, 2, 3, 4, 20, 21, 22, 23, 24]
    assert found.targets[0, :9].tolist() == [IGNORED, IGNORED, 4, 5, 21, 22, 23, 24, 25]
    assert found.segments is not None
    assert found.segments[0].tolist() == [0] * 4 + [1] * 5 + [PADDING_SEGMENT] * 55
    assert is_text.sum(1).tolist() == [5, 60]
    assert reference[:, :32].all() and not reference[:, 32:].any() and advantages.tolist() == [1.0, -1.0]


def test_the_loss_is_that_of_the_replies_and_the_nats_of_the_text() -> None:
    model, plain = tiny_model(context=64), batch()
    pieces = [np.arange(20, 41), np.arange(30, 71)]
    joined = with_text_behind(plain, LENGTHS, pieces, 64)
    texts = [(piece[:1].tolist(), piece[1:].tolist()) for piece in pieces]
    alone = [torch.from_numpy(rows) for rows in reply_rows(texts, 64, 0)]
    tensors = [torch.from_numpy(rows) for rows in (joined.inputs, joined.targets, joined.segments)]
    columns = [torch.from_numpy(column) for column in joined.columns]
    loss, *metrics = grpo_loss(0.2, has_replay=True).sums(model, *tensors, *columns)
    before = [torch.from_numpy(rows) for rows in (plain.inputs, plain.targets)]
    expected, *known = grpo_loss(0.2).sums(model, *before, None, *(torch.from_numpy(one) for one in plain.columns))
    assert loss.item() == pytest.approx((expected + model(*alone)).item(), rel=1e-5)
    assert [one.item() for one in metrics] == pytest.approx([one.item() for one in known], rel=1e-5)
