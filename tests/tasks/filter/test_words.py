"""Words: golden vectors, what must hold for any text, one regular expression as an oracle for splitting by pieces."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.filter import words as module
from tasks.filter.words import space_out, split_pieces, split_words

VECTORS = json.loads((Path(__file__).parents[2] / "golden" / "word_vectors.json").read_text(encoding="utf-8"))
ANY = st.text(alphabet=st.sampled_from("aB1é中い'’n't.-/_@:,()…!? \n#สวัी")) | st.text(max_size=80)
PROSE = st.lists(
    st.sampled_from(
        ["the", "cannot", "Cannot", "don't", "A.", "U.S.", "well-known,", "end.", "x...", 'said",', "1,000"]
    )
).map(" ".join)


@pytest.mark.parametrize(("text", "words", "_"), VECTORS, ids=[vector[0][:20] for vector in VECTORS])
def test_words_are_the_frozen_ones(text: str, words: list[str], _: int) -> None:
    assert split_words(text) == words


@given(ANY | PROSE)
def test_splitting_by_pieces_is_splitting_by_one_regular_expression(text: str) -> None:
    spaced = module._CONTRACTION.sub(r" \g<0>", space_out(text))
    assert split_words(text) == module._WORD.findall(spaced)


@given(ANY | PROSE)
def test_words_hold_every_character_but_white_space_in_order(text: str) -> None:
    assert "".join(split_words(text)) == re.sub(r"\s+", "", text)


@given(ANY)
def test_no_word_holds_white_space_or_nothing(text: str) -> None:
    assert all(word and not re.search(r"\s", word) for word in split_words(text))


def test_a_long_run_takes_no_longer_than_its_length() -> None:
    runs = (".-" * 50_000, "a(.-" * 25_000, "a" + ".," * 50_000, "://" * 30_000, "__" * 50_000, "中" * 50_000)
    for run in (*runs, "ก" * 50_000, "が" * 50_000):
        assert len("".join(split_words(run))) == len(run)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("It's a well-known fact.", ["It's", "a", "well", "known", "fact"]),
        ("U.S. $3.14, 1,000 and a_b", ["U.S", "3.14", "1,000", "and", "a_b"]),
        ("(x@y.org) _hidden «so»", ["x", "y.org", "so"]),
        ("…", []),
    ],
)
def test_plain_words_part_at_unicode_s_boundaries_and_have_no_marks(text: str, plain: list[str]) -> None:
    assert split_pieces(text.split()).plain == plain


def test_words_depend_on_the_script_of_a_run_and_not_on_what_stands_around_it() -> None:
    assert split_words("Die Firma 北京大学 sagt: 北京大学。") == [
        *("Die", "Firma", "北京", "大学", "sagt", ":", "北京", "大学", "。"),
    ]


def test_a_text_that_fills_the_memory_of_pieces_is_split_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._PieceSplitter, "_MAX_PIECES", 3)
    text = " ".join(f"{i}-{i}" for i in range(20)) * 2
    assert split_words(text) == module._WORD.findall(text)


def test_the_cheap_look_overlooks_no_script_without_spaces() -> None:
    everything = "".join(map(chr, range(0x110000)))
    unspaced = "".join(module._UNSPACED.findall(everything))
    assert len(unspaced) > 90_000
    assert all(map(module._may_be_unspaced, unspaced))
    assert not module._may_be_unspaced("“Plain” text – with a bullet • and an arrow → 3 € ½ …")
