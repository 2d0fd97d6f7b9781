"""Words and sentences: golden vectors, and what must hold for any text."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.filters.text_units import TextUnits, count_sentences, split_words

VECTORS = json.loads((Path(__file__).parents[2] / "golden" / "word_vectors.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("text", "words", "sentences"), VECTORS, ids=[vector[0][:20] for vector in VECTORS])
def test_words_and_sentences_are_the_frozen_ones(text: str, words: list[str], sentences: int) -> None:
    assert split_words(text) == words
    assert count_sentences(text) == sentences


@given(st.text(alphabet=st.sampled_from("aB1é中ि'’n't.-/_@:,()…!? \n#"), max_size=60))
def test_words_hold_every_character_but_white_space_in_order(text: str) -> None:
    assert "".join(split_words(text)) == re.sub(r"\s+", "", text)


@given(st.text(max_size=80))
def test_no_word_holds_white_space_or_nothing(text: str) -> None:
    assert all(word and not re.search(r"\s", word) for word in split_words(text))


@given(st.text(max_size=80))
def test_a_line_has_at_least_one_sentence_and_no_more_than_marks(text: str) -> None:
    marks = len(re.findall(r"[.!?؟।。！？．｡]", text))
    assert 1 <= count_sentences(text) <= marks + 1


def test_a_long_run_of_marks_takes_no_longer_than_its_length() -> None:
    for run in (".-" * 50_000, "a(.-" * 25_000, "a" + ".," * 50_000, "://" * 30_000, "__" * 50_000):
        assert len("".join(split_words(run))) == len(run)


def test_lines_and_paragraphs_part_as_each_rule_wants_them() -> None:
    units = TextUnits("\nOne.\n\n\nTwo.\nThree.\n")
    assert units.lines == ["", "One.", "", "", "Two.", "Three."]
    assert units.line_blocks == ["", "One.", "Two.", "Three.", ""]
    assert units.paragraphs == ["One.", "Two.\nThree."]
