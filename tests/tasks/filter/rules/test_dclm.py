"""DCLM's reading of the rules: each trap as a test, slow readings of the repetition rule and of what an address is."""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.filter.rules import dclm_lines
from tasks.filter.rules.dclm import STOP_WORDS, measure_dclm
from tasks.filter.rules.dclm_lines import remove_lines, strip_addresses
from tasks.filter.stop_word_lists import GOPHER_STOP_WORDS
from tasks.filter.text_units import TextUnits

TEXTS = st.lists(
    st.sampled_from(["ab", "a", "b", "can", "it's", ".", "…", "\n", "\n\n", "#", "(c)", "3.14"]), max_size=60
).map(" ".join)


def signals(text: str) -> dict[str, float]:
    return {name.removeprefix("dclm_"): value for name, value in measure_dclm(TextUnits(text)).signals.items()}


def removed(text: str) -> str:
    return remove_lines(TextUnits(text)).text


# Words


def test_only_words_that_begin_with_a_letter_or_a_digit_are_counted() -> None:
    assert signals('one "two" (three) 4th • ...')["words"] == 2


def test_the_mean_length_is_that_of_all_words_with_their_marks() -> None:
    assert signals('one "two"  ...')["mean_word_length"] == (3 + 5 + 3) / 3


def test_symbols_are_weighed_together_and_spaced_ellipses_count() -> None:
    assert signals("# one ... two … three")["symbol_ratio"] == 3 / 6
    assert signals("one . . . two")["symbol_ratio"] == 1 / 5


def test_words_without_a_letter_are_a_share_of_all_words() -> None:
    assert signals("4x4 12 . é")["non_alpha_words_ratio"] == 2 / 4


def test_stop_words_are_counted_as_occurrences_in_any_case_but_not_beside_a_mark() -> None:
    assert signals("the The THE the, (of")["stop_word_occurrences"] == 3
    assert len(STOP_WORDS) == sum(2 ** len(word) for word in GOPHER_STOP_WORDS)


# Lines and paragraphs


def test_bullets_and_ellipses_are_sought_in_lines_that_are_not_blank() -> None:
    found = signals("* one\n\n- two\n ● three\nfour . . .\nfive…")
    assert found["bullet_lines_ratio"] == 3 / 5
    assert found["ellipsis_lines_ratio"] == 2 / 5


def test_every_occurrence_of_a_repeated_line_is_a_duplicate_the_first_included() -> None:
    found = signals("ab\nc\n ab \n\nab")
    assert found["duplicate_lines_ratio"] == 3 / 4
    assert found["duplicate_line_chars_ratio"] == 6 / 7


def test_paragraphs_are_parted_by_two_newlines() -> None:
    assert signals("ab\nab")["duplicate_paragraphs_ratio"] == 0
    assert signals("ab\n\nc\n\n\n\nab")["duplicate_paragraphs_ratio"] == 2 / 3


# N-grams


def test_ngrams_are_of_words_without_punctuation_and_their_ratio_knows_no_white_space() -> None:
    assert signals("It's so, it's so; it's so.")["top_2_gram_ratio"] == (len("it'sso") * 2) / len("It'ssoit'ssoit'sso")


def test_the_most_frequent_ngram_is_ignored_unless_it_is_repeated() -> None:
    assert signals("alpha beta")["top_2_gram_ratio"] == 0
    assert signals("alpha beta, alpha beta")["top_2_gram_ratio"] == 1


def test_of_equally_frequent_ngrams_the_longest_is_weighed() -> None:
    assert signals("a b x a b y long word z long word")["top_2_gram_ratio"] == 16 / 23


def test_words_in_repeated_ngrams_are_weighed_once_and_in_every_occurrence() -> None:
    assert signals("a b c d e x a b c d e")["duplicate_5_gram_ratio"] == 10 / 11
    assert signals("a " * 15)["duplicate_5_gram_ratio"] == 1


@given(TEXTS)
def test_repetition_agrees_with_the_rule_read_slowly(text: str) -> None:
    found = signals(text)
    words = [word for word in re.findall(r"it's|3\.14|\w+", text) if word[0].isalnum()]
    for n in range(2, 11):
        name = f"{'top' if n < 5 else 'duplicate'}_{n}_gram_ratio"
        assert found[name] == _slow_ngrams(words, n) / max(1, sum(map(len, words)))
    for name, parts in (("line", text.split("\n")), ("paragraph", re.sub("\n{3,}", "\n\n", text).split("\n\n"))):
        filled = [part.strip() for part in parts if part.strip()]
        repeated = [part for part in filled if filled.count(part) > 1]
        assert found[f"duplicate_{name}s_ratio"] == len(repeated) / max(1, len(filled))
        assert found[f"duplicate_{name}_chars_ratio"] == sum(map(len, repeated)) / max(1, sum(map(len, filled)))


def _slow_ngrams(words: list[str], n: int) -> int:
    counts = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    most = max(counts.values(), default=1)
    if most == 1:
        return 0
    if n < 5:
        return most * max(len("".join(ngram)) for ngram, count in counts.items() if count == most)
    covered = {i + k for i in range(len(words) - n + 1) if counts[tuple(words[i : i + n])] > 1 for k in range(n)}
    return sum(len(words[i]) for i in covered)


# Addresses


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("See https://example.org/a?b=c for more.", "See for more."),
        ("See www.example.org/a_b, please", "See, please"),
        ("Mail to me@example.org.", "Mail to"),
        ("It is at end.So", "It is at end.So"),
        ("Read readme.txt or libc.so", "Read readme.txt or"),
        ("A full stop.and no space", "A full stop.and no space"),
        ("At ftp://files.example.com:8080 and 10.0.0.1:80/x now", "At and now"),
        ("http://192.168.1.1/admin is it", " is it"),
        ("Version 1.2.3.4 it is", "Version it is"),
        ("Version 1.2.3 it is", "Version 1.2.3 it is"),
        ("Ввод пример.рф", "Ввод пример.рф"),
        ("example.рф here", " here"),
        ("one\n\n\n\ntwo\n\nthree", "one\n\ntwo\n\nthree"),
        (".com", ".com"),
    ],
)
def test_addresses_go_with_the_white_space_before_them(text: str, left: str) -> None:
    assert strip_addresses(text) == left


_DOMAINS = "|".join(sorted(("com", "org", "co", "uk"), key=len, reverse=True))
_SLOW_HOST = re.compile(
    r"\s{0,10}(?:(?:https?|ftp)://)?[-a-zA-Z0-9@:%._+~#=]{1,256}\.(?:" + _DOMAINS + r")\b[-a-zA-Z0-9()@:%_+.~#?&/=]*"
)


@given(
    st.text(st.sampled_from("ab:/.-( \n"), max_size=12).flatmap(
        lambda glue: st.lists(
            st.sampled_from(["x.com", "a.co.uk", "http://", ".org", "b", ".", "com", " ", "é", "/", glue])
        )
    )
)
def test_hosts_are_what_one_regular_expression_finds(pieces: list[str]) -> None:
    text = "".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dclm_lines, "top_level_domains", lambda: frozenset(_DOMAINS.split("|")))
        assert dclm_lines._without_hosts(text) == _SLOW_HOST.sub("", text)


def test_addresses_are_stripped_before_anything_is_measured() -> None:
    assert signals("one https://a.org/b two")["words"] == 2


# Lines that go


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("A LOUD LINE here", ""),
        ("HALF half", "HALF half"),  # 4 capitals of 9 characters
        ("ÄÖÜ ÄÖÜ ä", ""),
        ("2024", ""),
        ("12 34", "12 34"),
        ("3 likes", ""),
        ("— 1,200 Views —", ""),
        ("1.5K followers", ""),
        ("3 likes it has", "3 likes it has"),
        ("Menu", ""),
        ("Two words", "Two words"),
        ("   ", ""),
        ("You have 3 items in cart now", "You have 3 now"),
        ("items in cart", ""),
        (
            "one two three four five six seven eight items in cart",
            "one two three four five six seven eight items in cart",
        ),
        ("And so on. Read more...", "And so on."),
        ("And so on. Read more of it", "And so on. Read more of it"),
        ("And so on. read more>>>", "And so on."),  # each dot stands for any character
        ("Read more...", ""),
        ("Sign-in to see", "to see"),
        ("Please sign-in", "Please sign-in"),
        ("Sign-in", ""),
    ],
)
def test_a_line_is_kept_changed_or_removed(line: str, left: str) -> None:
    assert removed(f"the first line\n{line}\nthe last line").split("\n")[1:-1] == ([left] if left else [])


def test_empty_lines_stay_and_the_ends_are_stripped() -> None:
    assert removed("\nMenu\n\none two\n\nHome\nthree four\n\n") == "one two\n\nthree four"


def test_what_the_line_removers_take_is_measured_in_words() -> None:
    assert signals("one two three\nMenu")["removed_words_ratio"] == 1 / 4
    assert signals("one two three\n• •\n---")["removed_words_ratio"] == 0  # none of these begins with a letter
    assert signals("one two items in cart")["removed_words_ratio"] == 3 / 5
    assert signals("")["removed_words_ratio"] == 1


@given(
    st.lists(
        st.sampled_from(["one two", "Menu", "A B", "3 likes", "Sign-in now", "", " ", "read more :-)"]), max_size=9
    )
)
def test_words_removed_are_the_difference_that_counting_again_would_give(lines: list[str]) -> None:
    text = "\n".join(lines)
    kept = remove_lines(TextUnits(text))
    count = [sum(word[0].isalnum() for word in side.split()) for side in (text, kept.text)]
    assert kept.n_words_removed == count[0] - count[1]


@given(st.text(max_size=120))
def test_any_text_gives_shares(text: str) -> None:
    measured = measure_dclm(TextUnits(text))
    assert measured.text == measured.text.strip()
    for name, value in measured.signals.items():
        assert 0 <= value <= 1 or name.startswith(
            ("dclm_words", "dclm_mean", "dclm_stop", "dclm_symbol", "dclm_top")
        ), name
