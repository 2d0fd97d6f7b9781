"""Stop words: the lists that come with Sluice, and what a list of one's own must look like."""

import pytest

from tasks.base.errors import UsageError
from tasks.filter.stop_word_lists import GOPHER_STOP_WORDS, builtin_stop_words, parse_stop_words
from tasks.filter.words import split_words

LANGUAGES = [language for language in builtin_stop_words().languages if language != "en"]


def test_english_is_gopher_s_eight_words_and_a_language_without_a_list_is_held_to_them() -> None:
    assert builtin_stop_words().of("en") == GOPHER_STOP_WORDS
    assert builtin_stop_words().of("un") == GOPHER_STOP_WORDS
    assert parse_stop_words(b"de: der die", "mine.yaml").of("fr") == GOPHER_STOP_WORDS
    assert len(GOPHER_STOP_WORDS) == 8


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_words_that_a_text_can_have(language: str) -> None:
    words = builtin_stop_words().of(language)
    assert len(words) >= 8, "two of them must be easy to find"
    for word in words:
        assert split_words(f"{word} {word}") == [word, word], "the splitter never gives such a word"
        assert word == word.lower()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"de: [der, die]", "must be a language code.*with words"),
        (b"no: og i det", "in quotes"),
        (b"de: ''", "with words"),
        (b"der die das", "must be lines like"),
        (b"de: 'der", "not YAML"),
        (b"\xff\xfe\xff", "not YAML"),
    ],
)
def test_a_list_that_is_none_is_refused_in_words(content: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=f"mine.yaml.*{said}"):
        parse_stop_words(content, "mine.yaml")


def test_the_languages_that_a_multilingual_recipe_keeps_have_words() -> None:
    known = set(builtin_stop_words().languages)
    assert known >= {"ar", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "he", "hi", "hu", "id", "it", "ja"}
    assert known >= {"ko", "nl", "no", "pl", "pt", "ro", "ru", "sv", "th", "tr", "uk", "vi", "zh"}
