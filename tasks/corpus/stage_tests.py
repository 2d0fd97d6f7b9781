"""The tests over stored signals of the stages that judge by more than signals: extract and corpus.

Notable: what these stages decide otherwise, such as that a page has no text or is a duplicate, no test here says again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.classify.score_thresholds import reason_name, signal_name
from tasks.classify.training import ScoreRuleConfig
from tasks.corpus.harm import HarmConfig
from tasks.corpus.signal_tests import Bools, SignalTest, Threshold, stored_reasons
from tasks.extract.main_text import ExtractionConfig
from tasks.personal_data.replacing import TOO_MUCH, PersonalDataConfig

EXTRACT_FIELDS = ("urls.min_soft_words", "guess_languages", "drop_robots")
"""Fields of the extract stage by which its tests judge."""


def extract_tests(config: ExtractionConfig) -> tuple[SignalTest, ...]:
    """What the extract stage decides by signals of a page."""
    soft_words = Threshold("url_soft_words", "url_soft_words", ">=", config.urls.min_soft_words)
    return (soft_words, GuessedLanguage(config.guess_languages or ()), AsksOfRobots(config.drop_robots))


@dataclass(frozen=True)
class GuessedLanguage:
    """Fails a page that was dropped for its guessed language, unless most of it seems to be in one of `wanted`.

    A page that was not dropped is not by a narrower choice either: what language it is in is then known better.
    """

    wanted: tuple[str, ...]
    """ISO 639-1 codes; none: no page is dropped."""

    name = "language_guess"
    columns = ("reasons", "guessed_language")

    def failing(self, decisions: pa.Table) -> Bools:
        """Which pages fail."""
        dropped = stored_reasons(decisions["reasons"]).get(self.name, np.zeros(decisions.num_rows, np.bool_))
        wanted: Bools = pc.is_in(decisions["guessed_language"], value_set=pa.array(self.wanted, pa.string())).to_numpy()
        return dropped & ~wanted if self.wanted else np.zeros_like(dropped)

    def explain(self, row: Mapping[str, Any]) -> str:
        """E.g. `language_guess: mostly de, none of en`."""
        return f"{self.name}: mostly {row['guessed_language']}, none of {', '.join(self.wanted)}"


@dataclass(frozen=True)
class AsksOfRobots:
    """Fails a page that asks for one of these directives; one that did not get as far as being asked does not fail."""

    directives: tuple[str, ...]

    name = "robots"
    columns = ("robots",)

    def failing(self, decisions: pa.Table) -> Bools:
        """Which pages fail."""
        asked = stored_reasons(decisions["robots"])
        return np.any([np.zeros(decisions.num_rows, np.bool_), *(asked[d] for d in self.directives if d in asked)], 0)

    def explain(self, row: Mapping[str, Any]) -> str:
        """E.g. `robots: asks for noai`."""
        return f"{self.name}: asks for {', '.join(d for d in row['robots'] or () if d in self.directives)}"


CORPUS_FIELDS = ("harm.thresholds", "personal_data.max_per_document", "personal_data.replace")
"""Fields of the corpus stage by which its tests judge; so it does by all of the stage `thresholds`."""


def corpus_tests(
    harm: HarmConfig | None, personal_data: PersonalDataConfig | None, classifiers: Mapping[str, ScoreRuleConfig]
) -> tuple[SignalTest, ...]:
    """What the corpus stage decides by signals of a document."""
    tests: list[SignalTest] = [_classifier_test(name, rule) for name, rule in classifiers.items()]
    if harm:
        tests += [_harm_test(category, limit) for category, limit in harm.thresholds.items()]
    if personal_data and personal_data.max_per_document is not None:
        tests.append(TooMuchPersonalData(tuple(sorted(personal_data.replace)), personal_data.max_per_document))
    return tuple(tests)


def _classifier_test(name: str, rule: ScoreRuleConfig) -> SignalTest:
    if rule.keep_top is not None:
        return KeepTop(name, rule.keep_top)
    if rule.max_score is not None:
        return Threshold(reason_name(name), signal_name(name), ">", rule.max_score)
    return Threshold(reason_name(name), signal_name(name), "<", rule.min_score or 0.0)


def _harm_test(category: str, limit: float) -> Threshold:
    # Scores are stored in 32 bits; one that is just the limit must not be above it for that.
    return Threshold(f"harm_{category}", f"harm_{category}", ">", float(np.float32(limit)))


@dataclass(frozen=True)
class KeepTop:
    """Fails all but the documents with the highest scores; which those are depends on all documents.

    As it stands it fails nobody: `at` gives the test for a score that was found over the crawl.
    """

    classifier: str
    share: float

    @property
    def name(self) -> str:
        """The reason."""
        return reason_name(self.classifier)

    @property
    def columns(self) -> tuple[str, ...]:
        """The score."""
        return (signal_name(self.classifier),)

    def at(self, score: float) -> Threshold:
        """The test where this is the lowest score that stays; of documents with just this score all do."""
        return Threshold(self.name, signal_name(self.classifier), "<", score)

    def failing(self, decisions: pa.Table) -> Bools:
        """Nobody."""
        return np.zeros(decisions.num_rows, np.bool_)

    def explain(self, row: Mapping[str, Any]) -> str:
        """E.g. `classifier_quality: score 0.12, not among the highest 10%`."""
        return f"{self.name}: score {row[signal_name(self.classifier)]:.4g}, not among the highest {self.share:.4g}"


@dataclass(frozen=True)
class TooMuchPersonalData:
    """Fails a document with more finds of these kinds than the limit."""

    kinds: tuple[str, ...]
    limit: int

    name = TOO_MUCH

    @property
    def columns(self) -> tuple[str, ...]:
        """The count of each kind."""
        return tuple(f"personal_data_{kind}" for kind in self.kinds)

    def failing(self, decisions: pa.Table) -> Bools:
        """Which documents fail."""
        finds = np.zeros(decisions.num_rows, np.int64)
        for name in self.columns:
            finds += decisions[name].to_numpy()
        return finds > self.limit

    def explain(self, row: Mapping[str, Any]) -> str:
        """E.g. `personal_data: 7 finds > 5`."""
        return f"{self.name}: {sum(row[name] for name in self.columns)} finds > {self.limit}"
