"""The hashes by which deterministic choices are made."""

import numpy as np
import pyarrow as pa
import xxhash

from tasks.base.hashing import chosen, hash_strings, mix64, text_hash_words


def test_mixing_is_frozen() -> None:
    # The first is the well-known first output of splitmix64 from state 0.
    assert mix64(np.array([0, 1, 2**63], dtype=np.uint64), 0).tolist() == [
        16294208416658607535,
        10451216379200822465,
        5196802822362493915,
    ]


def test_mixing_never_collides_and_differs_by_seed() -> None:
    values = np.arange(100_000)
    assert len(np.unique(mix64(values, 3))) == len(values)
    assert not np.any(mix64(values, 3) == mix64(values, 4))


def test_text_hash_words_hold_every_digit() -> None:
    texts = ["", "one", "zwei"]
    words = text_hash_words(pa.array([xxhash.xxh3_128_hexdigest(text) for text in texts]))
    assert [(int(high) << 64) | int(low) for high, low in words] == [xxhash.xxh3_128_intdigest(text) for text in texts]


def test_strings_are_hashed_as_utf8() -> None:
    assert hash_strings(["Straße", ""]).tolist() == [xxhash.xxh3_64_intdigest("Straße".encode()), 3244421341483603138]


def test_chosen_share() -> None:
    hashes = mix64(np.arange(100_000))
    assert abs(chosen(hashes, 0.1).mean() - 0.1) < 0.005
    assert not chosen(hashes, 0.0).any()
    assert chosen(hashes, 1.0).all()
