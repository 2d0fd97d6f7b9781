"""FineWeb's own signals, in both readings of what ends a line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.filter.rules.c4 import CleanedLines
from tasks.filter.rules.fineweb import SENTENCE_TERMINALS, measure_fineweb, measure_fineweb2
from tasks.filter.text_units import TextUnits
from tasks.filter.words import split_words


def fineweb(text: str) -> dict[str, float]:
    return measure_fineweb(CleanedLines(text, len(split_words(text)), {}))


@pytest.mark.parametrize(
    ("ending", "as_made", "as_today"),
    [
        (".", 1, 1),
        ("!", 1, 1),
        ("?", 1, 1),
        ('"', 1, 0),
        ("'", 1, 0),
        ("”", 0, 0),
        ("。", 0, 1),
        ("।", 0, 1),
        (":", 0, 0),
    ],
)
def test_two_readings_of_a_terminal_mark(ending: str, as_made: int, as_today: int) -> None:
    signals = fineweb("It ends here" + ending)
    assert signals["fineweb_terminal_lines_ratio"] == as_made
    assert signals["fineweb_sentence_lines_ratio"] == as_today


def test_there_are_159_sentence_terminals() -> None:
    assert len(SENTENCE_TERMINALS) == 159


def test_blank_lines_count_in_the_one_reading_only() -> None:
    signals = fineweb("One line.\n\nAnother line.")
    assert signals["fineweb_terminal_lines_ratio"] == 2 / 3
    assert signals["fineweb_sentence_lines_ratio"] == 1


def test_a_line_of_thirty_characters_is_short_and_one_of_31_is_not() -> None:
    assert fineweb("x" * 30 + "\n" + "x" * 31)["fineweb_short_lines_ratio"] == 1 / 2


def test_repeated_lines_are_weighed_in_the_text_without_newlines() -> None:
    assert fineweb("abc\nde\nabc\nabc")["fineweb_duplicate_line_chars_ratio"] == 6 / 11


def test_newlines_are_divided_by_words_with_punctuation() -> None:
    assert fineweb("One, two\nthree.")["fineweb_newlines_ratio"] == 1 / 5


def test_fineweb2_measures_lines_that_c4_would_drop() -> None:
    signals = measure_fineweb2(TextUnits("One.\n\nOne.\nTwo"))
    assert signals == {
        "fineweb2_sentence_lines_ratio": 2 / 3,
        "fineweb2_duplicate_line_chars_ratio": 4 / 11,
        "fineweb2_newlines_ratio": 3 / 5,
    }


@given(st.text(alphabet=st.sampled_from('ab. \n"。'), max_size=60))
def test_every_share_is_a_share_and_an_empty_text_gives_zeros(text: str) -> None:
    signals = fineweb(text)
    newlines = signals.pop("fineweb_newlines_ratio")
    assert newlines >= 0
    assert all(0 <= value <= 1 for value in signals.values())
    empty = fineweb("")
    assert empty.pop("fineweb_short_lines_ratio") == 1  # an empty line is a short one
    assert not any(empty.values())
