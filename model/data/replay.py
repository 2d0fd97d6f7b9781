"""Pretraining text that is trained on again while a model learns something else, so that it keeps what it knew."""

import numpy as np

from model.data.packed_sequences import IntArray
from model.data.token_cache import TokenCache


def replayed_pieces(cache: TokenCache, tokens: int, context: int, seed: int) -> list[IntArray]:
    """Return pieces of at most context + 1 tokens of training documents, drawn by `seed`, until there are `tokens`.

    A document is drawn at most once.
    """
    pieces: list[IntArray] = []
    left = tokens
    for document in np.random.default_rng([seed, 0x7E]).permutation(np.flatnonzero(~cache.validation)):
        text = cache.document(int(document)).astype(np.int64)
        for start in range(0, len(text) - 1, context):
            if left <= 0:
                return pieces
            pieces.append(text[start : start + min(context, left) + 1])
            left -= len(pieces[-1]) - 1
    return pieces
