"""C4's line cleaning: which line goes, in which order the tests come, and what condemns a page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.filter.rules.c4 import clean_lines
from tasks.filter.text_units import TextUnits
from tasks.filter.words import split_words


def cleaned(text: str) -> str:
    return clean_lines(TextUnits(text)).text


def signals(text: str) -> dict[str, float]:
    return clean_lines(TextUnits(text)).signals


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("Three small words", "Three small words"),
        ("No punctuation is asked for", "No punctuation is asked for"),
        ("Two words", ""),
        ("   stripped on both sides  ", "stripped on both sides"),
        ("a word of " + "x" * 1000, "a word of " + "x" * 1000),
        ("a word of " + "x" * 1001, ""),
        ("please enable JavaScript here", ""),
        ("our Privacy Policy and terms", ""),
        ("this site USES COOKIES now", ""),
        ("we use a cookie here", "we use a cookie here"),
        ("text with note[12] and [] marks[edit]", "text with note and  marks"),
        ("a claim [citation needed] stands", "a claim  stands"),
        ("a note [1a] stays", "a note [1a] stays"),
        ("One word[1] [2] [3]", "One word"),
        ("[1] [2] [3]", ""),
        ("word [1]", ""),
    ],
)
def test_a_line_is_kept_or_dropped(line: str, kept: str) -> None:
    assert cleaned(line) == kept


def test_blank_lines_go_and_kept_ones_are_joined_by_single_newlines() -> None:
    assert cleaned("one two three\n\n\n\nfour five six\nshort\n") == "one two three\nfour five six"


def test_words_are_counted_before_the_marks_are_deleted() -> None:
    assert cleaned("One [1] [2]\nfour five six") == "One  \nfour five six"


@pytest.mark.parametrize(
    ("line", "lorem_ipsum", "curly_bracket"),
    [
        ("some LOREM ipsum text here", 1, 0),
        ("lorem ipsum", 0, 0),  # too few words: the line is gone before it is read
        ("lorem ipsum by javascript", 1, 0),  # lorem ipsum is sought before javascript drops the line
        ("a { bracket stands", 0, 1),
        ("{ }", 0, 0),
        ("javascript { is dropped }", 0, 0),  # javascript drops the line before the bracket is sought
        ("privacy policy { is met }", 0, 1),  # the bracket is sought before the policy phrases
    ],
)
def test_what_condemns_a_page_depends_on_the_order_of_the_tests(
    line: str, lorem_ipsum: int, curly_bracket: int
) -> None:
    measured = signals(line)
    assert measured["c4_lorem_ipsum_lines"] == lorem_ipsum
    assert measured["c4_curly_bracket_lines"] == curly_bracket


def test_sentences_are_those_of_kept_lines_and_each_line_has_one() -> None:
    assert signals("One is here. Two is here. Three\nno full stop at all\nshort. line.")["c4_sentences"] == 4


@given(
    st.lists(st.sampled_from(["it's [1] a x", "cannot [2] [edit] do", "Menu", "a [12]b.c d e", "", "\x85"]), max_size=8)
)
def test_the_words_of_the_cleaned_text_are_counted_without_splitting_it_again(lines: list[str]) -> None:
    cleaning = clean_lines(TextUnits("\n".join(lines)))
    assert cleaning.n_words == len(split_words(cleaning.text))


@given(st.text(alphabet=st.sampled_from("ab[]1{ \n.é"), max_size=80))
def test_cleaned_text_has_no_blank_lines_at_its_ends_and_no_more_lines(text: str) -> None:
    after = cleaned(text)
    assert after == after.strip()
    assert len(after.splitlines()) <= len(text.splitlines())
    assert 0 <= signals(text)["c4_kept_lines_ratio"] <= 1
