"""The distributions of languages and text lengths over the documents that the filter kept and removed.

Notable: the languages also count pages that were dropped before extraction for their guessed language. Only decisions
are read, of a bounded number of row groups; `documents` says how many.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flows.store.datasets import most_frequent, sampled_rows, stage_decisions
from flows.store.run_record import RunRecord
from tasks.dataset.store import Store
from tasks.extract.language import UNKNOWN
from tasks.extract.rules import GuessedLanguage

_LANGUAGES = 12
OTHER_LANGUAGES = "other"


@dataclass(frozen=True)
class LanguageCount:
    """One language."""

    language: str
    """ISO 639-1; `un` for unknown, `other` for all that follow."""
    kept: int
    removed: int
    unread: int
    """Pages that were dropped before extraction, guessed to be in this language."""


@dataclass(frozen=True)
class Distributions:
    """What was measured on the documents that reached the filter."""

    documents: int
    """Documents in the sample."""
    unread: int
    """Pages in the sample that were dropped for their guessed language."""
    languages: tuple[LanguageCount, ...]
    """Most frequent first."""
    failed_alone: Mapping[str, int]
    """By rule, the documents that failed nothing else: what would pass without the rule."""
    words_kept: tuple[int, ...]
    """Words of each kept document."""
    words_removed: tuple[int, ...]

    @property
    def median_words(self) -> float:
        """Return the median length of the kept documents, in words."""
        return float(np.median(self.words_kept)) if self.words_kept else 0.0


def read_distributions(store: Store, record: RunRecord) -> Distributions:
    """Read the distributions over a bounded sample of the filter's decisions."""
    kept, removed, alone = Counter[str](), Counter[str](), Counter[str]()
    words: dict[bool, list[int]] = {True: [], False: []}
    filtered = sampled_rows(store, stage_decisions(record, "filter"), ["kept", "reasons", "language", "words"])
    for row in (row for _, rows in filtered for row in rows):
        (kept if row["kept"] else removed)[row["language"]] += 1
        words[row["kept"]].append(row["words"])
        alone.update(row["reasons"] if len(row["reasons"]) == 1 else ())
    extracted = sampled_rows(store, stage_decisions(record, "extract"), ["reasons", "guessed_language"])
    guessed = (row for _, rows in extracted for row in rows if GuessedLanguage.name in row["reasons"])
    unread = Counter(row.get("guessed_language") or UNKNOWN for row in guessed)
    return Distributions(
        documents=kept.total() + removed.total(),
        unread=unread.total(),
        languages=_language_counts(kept, removed, unread),
        failed_alone=alone,
        words_kept=tuple(words[True]),
        words_removed=tuple(words[False]),
    )


def _language_counts(*sides: Counter[str]) -> tuple[LanguageCount, ...]:
    names = [name for name, _ in most_frequent(sum(sides, Counter()))]
    shown = [LanguageCount(name, *(side[name] for side in sides)) for name in names[:_LANGUAGES]]
    if rest := names[_LANGUAGES:]:
        shown.append(LanguageCount(OTHER_LANGUAGES, *(sum(side[name] for name in rest) for side in sides)))
    return tuple(shown)
