"""Gopher's signals, each trap of the published rules as a test, and a slow reading of the rules as an oracle."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.filter.rules.gopher_quality import SYMBOLS, measure_quality
from tasks.filter.rules.gopher_repetition import count_repeated, measure_repetition
from tasks.filter.stop_word_lists import GOPHER_STOP_WORDS
from tasks.filter.text_units import TextUnits

TEXTS = st.lists(
    st.sampled_from(["ab", "a", "b", "can", "not", "cannot", ".", "…", "\n", "\n\n", "#"]), max_size=60
).map(" ".join)


def quality(text: str) -> dict[str, float]:
    return measure_quality(TextUnits(text), GOPHER_STOP_WORDS)


def repetition(text: str) -> dict[str, float]:
    return measure_repetition(TextUnits(text))


def test_the_symbols_are_fineweb_s_129() -> None:
    assert len(SYMBOLS) == 129
    assert SYMBOLS.isdisjoint("•‘¡¿aé")
    assert SYMBOLS.issuperset("…—’１\x7f\x00")
    assert SYMBOLS.isdisjoint("\n\t")


def test_a_lone_bullet_is_a_word_and_a_full_stop_is_not() -> None:
    assert quality("• one .")["words"] == 2
    assert quality("• one .")["mean_word_length"] == 2.0


def test_symbol_ratios_divide_by_all_words_with_the_marks_among_them() -> None:
    signals = quality("# one two ...")
    assert signals["hash_ratio"] == 1 / 4
    assert signals["ellipsis_ratio"] == 1 / 4
    assert quality("one…")["ellipsis_ratio"] == 1 / 2


def test_bullets_and_ellipses_are_sought_past_the_white_space_of_a_line() -> None:
    signals = quality("  • one\n\t- two\nthree ...  \nfour…\nfive - six")
    assert signals["bullet_lines_ratio"] == 2 / 5
    assert signals["ellipsis_lines_ratio"] == 2 / 5


def test_a_word_with_one_letter_among_digits_is_alphabetic() -> None:
    assert quality("4x4 12 . é")["alpha_words_ratio"] == 2 / 4


def test_stop_words_are_counted_distinct_and_as_occurrences_in_lower_case_only() -> None:
    signals = quality("the the of The WITH")
    assert signals["stop_words"] == 2
    assert signals["stop_word_occurrences"] == 3


def test_the_first_of_equal_lines_is_no_duplicate() -> None:
    assert count_repeated(["ab", "c", "ab", "ab"]) == (2, 4)
    assert repetition("ab\nc\nab\nab")["duplicate_lines_ratio"] == 2 / 4


def test_blank_lines_are_duplicates_in_the_one_reading_only() -> None:
    signals = repetition("a\n\n\nb")
    assert signals["duplicate_lines_ratio"] == 0
    assert signals["duplicate_all_lines_ratio"] == 1 / 4


def test_a_single_newline_makes_no_paragraph() -> None:
    assert repetition("ab\nab\nab")["duplicate_paragraphs_ratio"] == 0
    assert repetition("ab\n\nab\n\n\nab\n")["duplicate_paragraphs_ratio"] == 2 / 3


def test_the_most_frequent_ngram_counts_even_where_it_occurs_once() -> None:
    assert repetition("alpha beta")["top_2_gram_ratio"] == 1.0


def test_of_equally_frequent_ngrams_the_first_is_weighed() -> None:
    assert repetition("aaaa b c d")["top_2_gram_ratio"] == 6 / 10
    assert repetition("d c b aaaa")["top_2_gram_ratio"] == 3 / 10


def test_duplicate_ngrams_are_compared_without_spaces() -> None:
    assert repetition("ab c d e f g a bc d e f")["duplicate_5_gram_ratio"] == 6 / 23


def test_the_scan_jumps_over_a_duplicate_that_it_has_counted() -> None:
    assert repetition("a " * 14 + "a")["duplicate_5_gram_ratio"] == 10 / 29


@pytest.mark.parametrize("text", ["", " ", "\n\n", "word"])
def test_short_texts_give_numbers(text: str) -> None:
    for name, value in (quality(text) | repetition(text)).items():
        assert 0 <= value <= 1 or name in ("words", "mean_word_length"), name


@given(TEXTS)
def test_repetition_agrees_with_the_rules_read_slowly(text: str) -> None:
    words = TextUnits(text).words
    signals = repetition(text)
    for n in (2, 3, 4):
        assert signals[f"top_{n}_gram_ratio"] == _slow_top(words, n) / max(1, len(text))
    for n in range(5, 11):
        assert signals[f"duplicate_{n}_gram_ratio"] == _slow_duplicates(words, n) / max(1, len(text))


@given(TEXTS)
def test_quality_agrees_with_the_rules_read_slowly(text: str) -> None:
    words = TextUnits(text).words
    real = [word for word in words if any(character not in SYMBOLS for character in word)]
    signals = quality(text)
    assert signals["words"] == len(real)
    assert signals["mean_word_length"] == (sum(map(len, real)) / len(real) if real else 0)
    letters = sum(any(character.isalpha() for character in word) for word in words)
    assert signals["alpha_words_ratio"] == (letters / len(words) if words else 0)


@given(TEXTS)
def test_every_ratio_is_a_share(text: str) -> None:
    for name, value in repetition(text).items():
        assert 0 <= value <= 1 or name.startswith("top_"), name


def _slow_top(words: list[str], n: int) -> int:
    ngrams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not ngrams:
        return 0
    ngram, count = Counter(ngrams).most_common(1)[0]
    return len(ngram) * count


def _slow_duplicates(words: list[str], n: int) -> int:
    seen = set()
    characters = i = 0
    while i <= len(words) - n:
        ngram = "".join(words[i : i + n])
        if ngram in seen:
            characters += len(ngram)
            i += n
        else:
            seen.add(ngram)
            i += 1
    return characters
