"""What of a generator's replies is kept: each check has a reason, and all that a reply fails are named."""

import re
from collections.abc import Iterator

from tasks.base.plain_data import lines_of, parse_json
from tasks.dataset.data_files import read_data_file
from tasks.dataset.store import Store
from tasks.extract.language import UNKNOWN, identify
from tasks.filter.rules.gopher_repetition import measure_repetition
from tasks.filter.text_units import TextUnits
from tasks.synthesis.config import OutputConfig
from tasks.synthesis.endpoint import Reply

_LEAK_WORDS = 8
_REFUSAL = re.compile(
    r"\s*((i'm|i am|we're|we are)?\s*(very |so |truly )?sorry\b|unfortunately|i apologi[sz]e).{0,60}"
    r"\b(can't|cannot|can not|won't|will not|unable|not able)\b|"
    r"\s*(i|we) (can't|cannot|can not|won't|am unable|am not able)\b|\s*i'm (not able|unable)\b|"
    r"\s*as an? (ai|artificial intelligence|language model|assistant)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")
_QUESTION_FIELDS = ("question", "prompt", "query", "ctx", "context", "text")


class OutputChecks:
    """The checks of a recipe."""

    def __init__(self, config: OutputConfig, store: Store) -> None:
        self._config = config
        self._leaks = frozenset(ngram for path in config.evaluation_sets for ngram in _ngrams_of_set(store, path))
        self._lengths = sorted({len(ngram) for ngram in self._leaks})

    def reasons(self, reply: Reply, language: str | None = None) -> list[str]:
        """Return why a reply is not kept; `language`: that it should be in, as ISO 639-1, where that is known."""
        if reply.failed:
            return [reply.failed]
        text, config = reply.text.strip(), self._config
        failed = {
            "cut_off": reply.finish_reason == "length",
            "too_short": len(text) < config.min_chars,
            "too_long": len(text) > config.max_chars,
            "repetition": self._repetition(text) > config.max_repetition,
            "other_language": config.same_language and _differs(text, language),
            "refusal": config.refusals and bool(_REFUSAL.match(text.replace("’", "'"))),
            "leaked": self._leaked(text),
        }
        return [reason for reason, fails in failed.items() if fails]

    def _repetition(self, text: str) -> float:
        return measure_repetition(TextUnits(text))["duplicate_5_gram_ratio"]

    def _leaked(self, text: str) -> bool:
        words = _words(text)
        return any(tuple(words[at : at + n]) in self._leaks for n in self._lengths for at in range(len(words) - n + 1))


def _differs(text: str, language: str | None) -> bool:
    """Return whether a text is in another language than it should be; a short one that nobody could tell is in none."""
    if language in (None, UNKNOWN):
        return False
    found, share = identify(text)
    return found not in (UNKNOWN, language) and share > 0.5


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _ngrams_of_set(store: Store, path: str) -> Iterator[tuple[str, ...]]:
    """Yield the n-grams that give away a question of an evaluation set; one of one or two words gives away none."""
    for question in _questions(read_data_file(store, path)):
        words = _words(question)
        size = min(_LEAK_WORDS, len(words))
        if size >= 3:
            yield from (tuple(words[at : at + size]) for at in range(len(words) - size + 1))


def _questions(content: bytes) -> Iterator[str]:
    for _, line in lines_of(content):
        try:
            value = parse_json(line)
        except ValueError:
            value = line.decode(errors="replace")  # a list of plain texts
        texts = [value[name] for name in _QUESTION_FIELDS if name in value] if isinstance(value, dict) else [value]
        yield from (text for text in texts[:1] if isinstance(text, str))
