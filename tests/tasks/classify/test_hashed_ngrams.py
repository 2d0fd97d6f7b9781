"""Hashed n-grams: what a word is, and that whole columns are hashed as a loop over characters would do it."""

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.classify import hashed_ngrams as classifier_features
from tasks.classify.hashed_ngrams import HashedTexts, hashed_texts

TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=40), min_size=1, max_size=6)
MIXED = st.lists(st.text(st.sampled_from("aB'z9 \n.—é ÉяЯ漢字กहि€𝒳😀ñ-"), max_size=30), min_size=1, max_size=6)


def words_of(text: str) -> list[str]:
    """The words as the module's docstring defines them, character by character; `text` is of the BMP's first planes."""
    words: list[str] = []
    in_run = False
    for character in text:
        kind = unicodedata.category(character)[0]
        alone = any(start <= ord(character) < end for start, end in classifier_features._WITHOUT_SPACES)
        if ord(character) > 0xFFFF:
            words.append(character)
            in_run = False
        elif kind in "LMN" and not alone:
            lower = character.lower()
            small = lower if len(lower) == 1 else character
            words = [*words[:-1], words[-1] + small] if in_run else [*words, small]
            in_run = True
        else:
            in_run = False
            if kind in "LMNPS":
                words.append(character)
    return words


def hashed(texts: list[str], max_chars: int = 1000) -> list[list[int]]:
    """The hashes of each text's words."""
    return [
        block.words[start:end].tolist()
        for block in hashed_texts(pa.array(texts, pa.string()), max_chars)
        for start, end in zip(block.first[:-1], block.first[1:], strict=True)
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n\t ", []),
        ("The the THE", ["the", "the", "the"]),
        ("don't", ["don", "'", "t"]),
        ("x=1;  y", ["x", "=", "1", ";", "y"]),
        ("École — «été»", ["école", "—", "«", "été", "»"]),
        ("漢字かな", ["漢", "字", "か", "な"]),
        ("see漢字now", ["see", "漢", "字", "now"]),
        ("a😀b", ["a", "😀", "b"]),
        ("Привет, МИР", ["привет", ",", "мир"]),
    ],
)
def test_what_a_word_is(text: str, words: list[str]) -> None:
    assert words_of(text) == words
    (found,) = hashed([text])
    assert found == [hashed([word])[0][0] for word in words]


@given(st.one_of(TEXTS, MIXED))
def test_a_column_is_hashed_as_its_words_one_by_one(texts: list[str]) -> None:
    expected = [words_of(text) for text in texts]
    found = hashed(texts)
    assert [len(words) for words in found] == [len(words) for words in expected]
    names: dict[str, int] = {}
    for words, hashes in zip(expected, found, strict=True):
        for word, value in zip(words, hashes, strict=True):
            assert names.setdefault(word, value) == value
    assert len(set(names.values())) == len(names)


@given(MIXED, st.integers(1, 200))
def test_blocks_do_not_show(texts: list[str], block_bytes: int) -> None:
    whole = hashed(texts)
    before = classifier_features.BLOCK_BYTES
    classifier_features.BLOCK_BYTES = block_bytes
    try:
        assert hashed(texts) == whole
    finally:
        classifier_features.BLOCK_BYTES = before


def test_slices_and_chunks_of_a_column_are_its_texts() -> None:
    texts = ["one two", "", "three — four", "fünf", "漢字"]
    column = pa.chunked_array([pa.array(["zero", *texts[:3]]).slice(1), pa.array([], pa.string()), pa.array(texts[3:])])
    found = [block.words for block in hashed_texts(column, 100)]
    assert np.concatenate(found).tolist() == [value for words in hashed(texts) for value in words]


def test_only_the_first_characters_count() -> None:
    assert hashed(["ééé tail", "b"], max_chars=3) == hashed(["ééé", "b"])


def test_ngrams_never_reach_into_the_next_text() -> None:
    (block,) = hashed_texts(pa.array(["a b c", "", "d", "e f"]), 100)
    assert block.counts(1).tolist() == [3, 0, 1, 2]
    assert block.counts(2).tolist() == [5, 0, 1, 3]
    assert block.counts(3).tolist() == [6, 0, 1, 3]
    assert sorted(block.crossing(2).tolist()) == [2, 2, 3]
    assert set(range(4)) - set(block.crossing(3).tolist()) == {0}
    for order in (1, 2, 3):
        alone = HashedTexts(block.words[:3], np.array([0, 3]))
        count = 4 - order
        assert block.buckets(order, 20)[:count].tolist() == alone.buckets(order, 20)[:count].tolist()


def test_hashes_are_frozen() -> None:
    """Saved models hang on them: a change here needs a new number for the format and for the stage."""
    (block,) = hashed_texts(pa.array(["The quick brown fox — été 漢字 😀."]), 100)
    assert block.buckets(1, 20).tolist() == GOLDEN[1]
    assert block.buckets(2, 20).tolist() == GOLDEN[2]


GOLDEN: dict[int, list[int]] = {
    1: [786181, 543792, 204914, 324201, 803367, 604838, 86822, 526501, 245276, 106667],
    2: [49238, 560253, 545109, 161418, 683487, 273960, 428013, 436836, 843573],
}
