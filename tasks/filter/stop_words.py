"""Stop words of many languages: the frequent words by which running text is told from lists and tables.

Notable: English is held to Gopher's eight words. A language without a list is held to English too, so that a page of
another language fails as it always did; a recipe that wants such a language gives a list with its words.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

import yaml

from tasks.base.errors import UsageError

BUILTIN_STOP_WORDS = "builtin:stop-words.yaml"
"""The lists that come with Sluice."""

GOPHER_STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))
"""The English words of which a text must show two."""


class StopWords:
    """The stop words of each language."""

    def __init__(self, lists: Mapping[str, frozenset[str]]) -> None:
        self._lists = {"en": GOPHER_STOP_WORDS, **lists}

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that have words of their own."""
        return tuple(self._lists)

    def of(self, language: str) -> frozenset[str]:
        """The words of a language by its ISO 639-1 code; English ones for a language without a list."""
        return self._lists.get(language, self._lists["en"])


def parse_stop_words(content: bytes, name: str) -> StopWords:
    """The lists in a YAML file of `language: word word ...`; UsageError, with the file's `name`, if it is none."""
    try:
        lists = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"The stop words in {name} are no YAML: {error}.") from error
    if not isinstance(lists, dict):
        raise UsageError(f"The stop words in {name} must be lines like `de: der die und`.")
    for language, words in lists.items():
        # YAML reads a bare `no` as false, and a lone number is no text.
        if not isinstance(language, str) or not isinstance(words, str) or not words.split():
            raise UsageError(
                f"The stop words in {name}: {language!r} must be a language code, in quotes if it is `no`, with words "
                f"that spaces separate, and not {words!r}."
            )
    return StopWords({language: frozenset(words.split()) for language, words in lists.items()})


@cache
def builtin_stop_words() -> StopWords:
    """The lists that come with Sluice."""
    file = resources.files("tasks") / "lists" / "stop-words.yaml"
    return parse_stop_words(file.read_bytes(), "stop-words.yaml")
