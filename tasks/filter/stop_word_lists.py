"""Stop words of many languages: the frequent words that distinguish running text from lists and tables.

Notable: English has Gopher's eight words. A language without a list is held to the English ones too, so that its pages
fail; a recipe that keeps such a language gives a list with its words.
"""

from collections.abc import Mapping
from functools import cache
from importlib import resources

from tasks.base.errors import UsageError
from tasks.base.plain_data import parse_yaml

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
        """The languages that have a list."""
        return tuple(self._lists)

    def of(self, language: str) -> frozenset[str]:
        """Return the words of a language by its ISO 639-1 code; English ones for a language without a list."""
        return self._lists.get(language, self._lists["en"])


def parse_stop_words(content: bytes, name: str) -> StopWords:
    """Return the lists in a YAML file of `language: word word ...`. Raises UsageError that names the file `name`."""
    try:
        lists = parse_yaml(content)
    except ValueError as error:
        raise UsageError(f"The stop words in {name} are not YAML: {error}.") from error
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
    """Return the lists that come with Sluice."""
    file = resources.files("tasks") / "lists" / "stop-words.yaml"
    return parse_stop_words(file.read_bytes(), "stop-words.yaml")
