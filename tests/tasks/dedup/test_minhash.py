"""Signatures and band keys: golden vectors, the curve of FineWeb, and texts too short or without spaces."""

from itertools import count, islice

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.dedup.minhash import (
    NO_HASH,
    NO_KEY,
    MinHashConfig,
    band_keys,
    estimated_similarity,
    has_signature,
    normalised_words,
    shingle_hashes,
    signatures,
    signatures_table,
    sketches,
)

CONFIG = MinHashConfig()
FOX = "The quick brown fox jumps over the lazy dog, 12 times a day."


def letters(number: int) -> str:
    """A word for each number, of letters alone: digits would all become "0"."""
    return "".join(chr(97 + int(digit)) for digit in str(number)) + "x"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, WORLD!", ["hello", "world"]),
        ("1,024 of 2048", ["0", "0", "of", "0"]),
        ("Café  naïve\u00ad\n\tÅngström", ["cafe", "naive", "angstrom"]),
        ("٣٤ items — ok…", ["0", "items", "ok"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("well-known's", ["well", "known", "s"]),
        ("", []),
        ("!?  …", []),
    ],
)
def test_normalisation(text: str, words: list[str]) -> None:
    assert normalised_words(text) == words


def test_signatures_are_frozen() -> None:
    signature = signatures([FOX], CONFIG)
    assert signature.shape == (1, 112)
    assert signature.dtype == np.uint32
    assert signature[0, :4].tolist() == [202417333, 425462102, 279707685, 286772208]
    assert band_keys(signature, CONFIG)[0, :3].tolist() == [
        9921649467034396878,
        14939694901511271842,
        13798842931706422632,
    ]


def test_signatures_are_those_of_datasketch() -> None:
    plain = MinHash(num_perm=CONFIG.permutations, seed=CONFIG.seed, hashfunc=int, scheme="affine32")
    plain.update_batch(shingle_hashes(normalised_words(FOX), CONFIG).tolist())
    assert np.array_equal(signatures([FOX], CONFIG)[0], plain.hashvalues)


def test_long_texts_are_signed_in_pieces_without_a_trace() -> None:
    words = [letters(number) for number in np.random.default_rng(0).integers(0, 5000, 20_000).tolist()]
    plain = MinHash(num_perm=CONFIG.permutations, seed=CONFIG.seed, hashfunc=int, scheme="affine32")
    plain.update_batch(shingle_hashes(normalised_words(" ".join(words)), CONFIG).tolist())
    signature = signatures(["too short", " ".join(words), FOX], CONFIG)
    assert np.array_equal(signature[1], plain.hashvalues)
    assert np.array_equal(signature[2], signatures([FOX], CONFIG)[0])


def test_short_texts_have_no_keys() -> None:
    signature = signatures(["one two three four", "", "one two three four five"], CONFIG)
    assert has_signature(signature).tolist() == [False, False, True]
    assert np.all(signature[:2] == NO_HASH)
    keys = band_keys(signature, CONFIG)
    assert np.all(keys[:2] == NO_KEY)
    assert not np.any(keys[2] == NO_KEY)


def test_bands_of_one_document_never_share_a_key() -> None:
    signature = np.full((1, CONFIG.permutations), 7, dtype=np.uint32)
    assert len(np.unique(band_keys(signature, CONFIG))) == CONFIG.bands


def test_the_order_of_words_within_a_shingle_counts() -> None:
    forward = shingle_hashes(["a", "b", "c", "d", "e"], CONFIG)
    assert forward != shingle_hashes(["e", "d", "c", "b", "a"], CONFIG)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=6))
def test_a_text_is_signed_alike_in_any_company(texts: list[str]) -> None:
    together = signatures(texts, CONFIG)
    for row, text in enumerate(texts):
        assert np.array_equal(together[row], signatures([text], CONFIG)[0])


@pytest.mark.parametrize(("similarity", "meet"), [(0.5, 0.053), (0.7, 0.564), (0.8, 0.924), (0.9, 0.9997)])
def test_documents_meet_as_often_as_the_formula_says(similarity: float, meet: float) -> None:
    pairs, size = 400, 400
    shared = round(size * 2 * similarity / (1 + similarity))
    fresh = map(letters, count())
    left, right = [], []
    for _ in range(pairs):
        common = list(islice(fresh, shared))
        left.append(" ".join(common + list(islice(fresh, size - shared))))
        right.append(" ".join(common + list(islice(fresh, size - shared))))
    single = MinHashConfig(shingle_words=1)
    signed_left, signed_right = signatures(left, single), signatures(right, single)
    met = np.any(band_keys(signed_left, single) == band_keys(signed_right, single), axis=1).mean()
    assert abs(met - meet) < 4 * np.sqrt(meet * (1 - meet) / pairs) + 0.01
    estimate = estimated_similarity(sketches(signed_left), sketches(signed_right))
    assert abs(estimate.mean() - similarity) < 0.02
    assert estimate.std() < 0.07


def test_signatures_table() -> None:
    texts = [FOX, "short", "naïve 東京"]
    documents = pa.table(
        {"id": ["a:0", "a:1", "a:2"], "text": texts, "text_hash": [xxhash.xxh3_128_hexdigest(text) for text in texts]}
    )
    table = signatures_table(documents, CONFIG)
    assert table.column_names == ["id", "text_hash", "n_chars", "bands", "sketch"]
    assert table["n_chars"].to_pylist() == [len(text) for text in texts]
    assert table["bands"].to_pylist() == [band_keys(signatures([FOX], CONFIG), CONFIG)[0].tolist(), None, None]
    assert table["sketch"].to_pylist() == [sketches(signatures([FOX], CONFIG))[0].tobytes(), None, None]
    assert table.schema.field("bands").type == pa.list_(pa.uint64())
    assert signatures_table(documents.slice(0, 0), CONFIG).num_rows == 0
