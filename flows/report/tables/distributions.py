"""The distributions of languages and text lengths over the documents that the filter kept and removed.

Notable: the languages also count pages that were dropped before extraction for their guessed language. Only decisions
are read, of a bounded number of row groups; `documents` says how many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flows.store.datasets import sampled_rows, stage_decisions
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
    kept_languages: Counter[str] = Counter()
    removed_languages: Counter[str] = Counter()
    unread = _unread_languages(store, record)
    alone: Counter[str] = Counter()
    words: tuple[list[int], list[int]] = ([], [])
    folder = stage_decisions(record, "filter")
    for _, rows in sampled_rows(store, folder, ["kept", "reasons", "language", "words"]):
        for row in rows:
            (kept_languages if row["kept"] else removed_languages)[row["language"]] += 1
            words[0 if row["kept"] else 1].append(row["words"])
            if len(row["reasons"]) == 1:
                alone.update(row["reasons"])
    return Distributions(
        documents=kept_languages.total() + removed_languages.total(),
        unread=unread.total(),
        languages=_language_counts(kept_languages, removed_languages, unread),
        failed_alone=alone,
        words_kept=tuple(words[0]),
        words_removed=tuple(words[1]),
    )


def _unread_languages(store: Store, record: RunRecord) -> Counter[str]:
    """Count the guessed languages of pages that were dropped for them."""
    languages: Counter[str] = Counter()
    folder = stage_decisions(record, "extract")
    for _, rows in sampled_rows(store, folder, ["reasons", "guessed_language"]):
        guesses = (row.get("guessed_language") for row in rows if GuessedLanguage.name in row["reasons"])
        languages.update(guess or UNKNOWN for guess in guesses)
    return languages


def _language_counts(kept: Counter[str], removed: Counter[str], unread: Counter[str]) -> tuple[LanguageCount, ...]:
    counts = kept + removed + unread
    names = sorted(counts, key=lambda name: (-counts[name], name))
    shown = [LanguageCount(name, kept[name], removed[name], unread[name]) for name in names[:_LANGUAGES]]
    rest = names[_LANGUAGES:]
    if rest:
        shown.append(
            LanguageCount(OTHER_LANGUAGES, *(sum(side[name] for name in rest) for side in (kept, removed, unread)))
        )
    return tuple(shown)
