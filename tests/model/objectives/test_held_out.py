"""Held-out scores against sums made by hand."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.base.sizes import ModelShape
from model.data.token_cache import open_token_cache
from model.network.transformer import Transformer, initialise
from model.objectives.held_out import HeldOut, document_windows, held_out_documents, score_documents, unigram_score
from tests.model.tiny_corpus import CONTEXT, SHAPE, TinyCorpus


@given(st.integers(1, 200), st.integers(2, 20))
def test_windows_score_every_token_once(length: int, context: int) -> None:
    windows = document_windows(length, context)
    scored = [token for window in windows for token in range(window.scored_from, window.start + window.length)]
    assert scored == list(range(1, length))
    for window in windows:
        assert window.length <= context + 1
        assert window.start < window.scored_from <= window.start + window.length
        assert window.start == 0 or window.scored_from - window.start > context // 2, "half the context comes before"


@pytest.mark.parametrize("batch", [1, 7])
def test_bits_per_byte_equal_a_sum_over_documents(corpus: TinyCorpus, batch: int) -> None:
    cache = open_token_cache(corpus.tokens, corpus.root / "cache")
    documents = held_out_documents(cache, 0)
    short = np.array([at for at in documents if cache.offsets[at + 1] - cache.offsets[at] <= CONTEXT + 2])
    assert len(short) > 3 and len(documents) == 10 and list(held_out_documents(cache, 2)) == list(documents[:2])
    model = Transformer(ModelShape(**SHAPE))
    initialise(model, 0)
    score = score_documents(model, HeldOut(cache, short, CONTEXT, batch, torch.device("cpu")))
    nats, tokens = 0.0, 0
    for at in short:
        ids = torch.tensor(cache.tokens[cache.offsets[at] : cache.offsets[at + 1] - 1].astype(np.int64))
        logits = model(ids[None, :-1])[0].log_softmax(-1)
        nats -= float(logits.gather(1, ids[1:, None]).detach().sum())
        tokens += len(ids) - 1
    assert score.tokens == tokens and score.documents == len(short)
    assert score.nats == pytest.approx(nats, rel=1e-5)
    assert score.bits_per_byte == pytest.approx(nats / math.log(2) / cache.byte_counts[short].sum(), rel=1e-5)


def test_the_unigram_baseline_counts_the_training_split(corpus: TinyCorpus) -> None:
    cache = open_token_cache(corpus.tokens, corpus.root / "cache")
    documents = held_out_documents(cache, 0)
    size = SHAPE["vocab_size"]
    texts = [cache.tokens[cache.offsets[at] + 1 : cache.offsets[at + 1] - 1].tolist() for at in range(60)]
    counts = Counter(token for at, text in enumerate(texts) if not cache.validation[at] for token in text)
    total = sum(counts.values()) + size
    nats = -sum(math.log((counts[token] + 1) / total) for at in documents for token in texts[at])
    assert unigram_score(cache, documents, size).nats == pytest.approx(nats, rel=1e-9)
