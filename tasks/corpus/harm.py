"""Scores harmful content and bias by a lexicon that a user can replace.

Notable:
- A score is the weight of the terms found in a thousand words. A text of fewer than `MIN_WORDS` words counts as having
  that many, so that one word in a short note does not look like a page full of them. Scores alone decide, so a crawl
  can be decided on again under other thresholds.
- Words are looked up and no pattern is searched for, so the time does not grow with the lexicon: 0.15 ms for 4 KB.
  Phrases are found by their first word.
- `bias` counts words for groups of people near derogatory ones, at most `BIAS_WINDOW` words away. It knows no grammar:
  "are not lazy" counts. It is a signal for texts to look at rather than for texts to remove.
- The other way is the recipe's section `classifiers`: a linear classifier trained in the run from good and bad
  examples, with a threshold on its score. It needs examples, and knows more than single words.
"""

import math
import re
from collections import Counter, defaultdict
from typing import Literal, NamedTuple, get_args

import pyarrow as pa
from pydantic import Field, NonNegativeFloat

from tasks.base.config import Config
from tasks.base.errors import UsageError
from tasks.dataset.data_files import DataFile
from tasks.dataset.document_check import CheckResult
from tasks.dataset.rules import Threshold, apply_rules, limit_in_32_bits

Category = Literal["violence", "sexual", "hate", "self_harm", "bias"]
"""What a document is scored for."""

CATEGORIES: tuple[Category, ...] = get_args(Category)
"""All categories, in the order of their signals."""

MIN_WORDS = 200
"""A text with fewer words is scored as if it had so many."""

BIAS_WINDOW = 8
"""How many words a derogatory word may be away from the word for a group of people."""

_TERM_CATEGORIES = ("violence", "sexual", "hate", "self_harm", "identity", "derogatory")
_MAX_TERM_WORDS = 4
_WORD = re.compile(r"[^\W_]+")


class HarmConfig(Config):
    """How harmful content and bias are scored, and what is removed for it."""

    lexicon: DataFile = "builtin:harm_en.tsv"
    """The terms, a line each: category, weight and term, separated by tabs. The built-in list is short and English."""
    thresholds: dict[Category, NonNegativeFloat] = Field(default_factory=dict)
    """Highest score that a document may have, in weight of terms for each 1,000 words, by category: violence, sexual,
    hate, self_harm, bias. A category that is not here is scored, but removes nothing."""


class _Term(NamedTuple):
    category: str
    weight: float
    words: tuple[str, ...]


Lexicon = dict[str, tuple[_Term, ...]]
"""Terms by their first word, the longer ones first."""


def read_lexicon(content: bytes, name: str) -> Lexicon:
    """Parse a lexicon file; `name` is what its errors call it. Raises UsageError with the line that is wrong."""
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: a lexicon is UTF-8 text, but byte {error.start} is not.") from error
    terms: defaultdict[str, set[_Term]] = defaultdict(set)
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            term = _read_term(line, f"{name}, line {number}")
            terms[term.words[0]].add(term)
    return {first: tuple(sorted(some, key=lambda term: (-len(term.words), term))) for first, some in terms.items()}


def _read_term(line: str, where: str) -> _Term:
    fields = line.split("\t")
    if len(fields) != 3:
        raise UsageError(f"{where}: {len(fields)} fields separated by tabs, not three: category, weight, term.")
    category, weight_text, phrase = (field.strip() for field in fields)
    if category not in _TERM_CATEGORIES:
        raise UsageError(f'{where}: there is no category "{category}"; there are: {", ".join(_TERM_CATEGORIES)}.')
    try:
        weight = float(weight_text)
    except ValueError:
        weight = math.nan
    if not 0 < weight <= 1000:
        raise UsageError(f'{where}: the weight must be a number above 0, at most 1000; it is "{weight_text}".')
    words = tuple(_WORD.findall(phrase.casefold()))
    if not 1 <= len(words) <= _MAX_TERM_WORDS:
        raise UsageError(f'{where}: "{phrase}" has {len(words)} words; a term has 1 to {_MAX_TERM_WORDS}.')
    return _Term(category, weight, words)


def score_harm(text: str, lexicon: Lexicon) -> dict[Category, float]:
    """Return the score of `text` in each category: weight of the terms found for each 1,000 words."""
    words = _WORD.findall(text.casefold())
    weights = dict.fromkeys(_TERM_CATEGORIES, 0.0)
    groups: list[int] = []  # places of words for groups of people
    derogatory: list[tuple[int, float]] = []  # places of derogatory words, and their weights
    places = () if lexicon.keys().isdisjoint(words) else [place for place, word in enumerate(words) if word in lexicon]
    for place in places:
        for term in _terms_at(words, place, lexicon):
            weights[term.category] += term.weight
            if term.category == "identity":
                groups.append(place)
            elif term.category == "derogatory":
                derogatory.append((place, term.weight))
    measured = {**weights, "bias": _bias(groups, derogatory)}
    scale = 1000 / max(len(words), MIN_WORDS)
    return {category: measured[category] * scale for category in CATEGORIES}


def harm_rules(config: HarmConfig) -> tuple[Threshold, ...]:
    """Return a rule `harm_<category>` for each category that has a threshold."""
    return tuple(
        Threshold(f"harm_{category}", f"harm_{category}", ">", limit_in_32_bits(config.thresholds[category]))
        for category in CATEGORIES
        if category in config.thresholds
    )


def _terms_at(words: list[str], place: int, lexicon: Lexicon) -> list[_Term]:
    """Return the terms that begin here, of each category the longest."""
    found: dict[str, _Term] = {}
    for term in lexicon[words[place]]:
        if term.category not in found and tuple(words[place : place + len(term.words)]) == term.words:
            found[term.category] = term
    return list(found.values())


def _bias(groups: list[int], derogatory: list[tuple[int, float]]) -> float:
    """Weight of the derogatory words that have a word for a group of people near them; both lists are in order."""
    total = 0.0
    next_group = 0
    for place, weight in derogatory:
        while next_group < len(groups) and groups[next_group] < place - BIAS_WINDOW:
            next_group += 1
        if next_group < len(groups) and groups[next_group] <= place + BIAS_WINDOW:
            total += weight
    return total


class HarmCheck:
    """Scores texts by a lexicon. `harm_<category>`: weight of the terms found for each 1,000 words.

    Counts the documents in which anything was found, as `harm.<category>`.
    """

    signals = pa.schema([(f"harm_{category}", pa.float32()) for category in CATEGORIES])

    def __init__(self, config: HarmConfig, lexicon: Lexicon) -> None:
        self._rules = harm_rules(config)
        self._lexicon = lexicon

    def check(self, documents: pa.Table) -> CheckResult:
        """Score the texts, and apply the rules to the scores."""
        scored = [score_harm(text, self._lexicon) for text in documents["text"].to_pylist()]
        columns = [pa.array([scores[category] for scores in scored], pa.float32()) for category in CATEGORIES]
        signals = pa.table(columns, schema=self.signals)
        counters = Counter({f"harm.{name}": sum(scores[name] > 0 for scores in scored) for name in CATEGORIES})
        return CheckResult(apply_rules(self._rules, signals), signals, counters=counters)
