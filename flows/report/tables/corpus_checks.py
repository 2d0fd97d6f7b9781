"""What the checks of the corpus found beside duplicates: personal data, harmful content, classifiers' scores.

Notable: all counts come from the counters of manifests and from the rows of small stages, so the cost does not grow
with the crawl.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flows.store.datasets import count_dataset, sampled_rows, sampled_tables, stage_folder
from flows.store.run_record import RunRecord
from tasks.classify.lowest_kept import LOWEST_KEPT, read_lowest_kept
from tasks.classify.score_rules import reason_name
from tasks.classify.training import Metrics, ScoreRuleConfig
from tasks.corpus.corpus import CorpusConfig
from tasks.corpus.harm import CATEGORIES
from tasks.dataset.store import Store
from tasks.personal_data.check import TOO_MUCH
from tasks.personal_data.placeholders import PLACEHOLDERS
from tasks.personal_data.replacing import KINDS


@dataclass(frozen=True)
class PersonalDataKind:
    """One kind of personal data."""

    kind: str
    found: int
    """How often it was found in all documents that the corpus stage read, including those it removed."""
    placeholder: str | None
    """What stands in its place; None where the recipe leaves it."""


@dataclass(frozen=True)
class PersonalData:
    """Personal data in the documents."""

    kinds: tuple[PersonalDataKind, ...]
    rewritten: int
    """Documents in which anything was replaced."""
    limit: int | None
    """How often it may occur in a document; None: any number of times."""
    removed: int
    """Documents in which it occurs more often."""


@dataclass(frozen=True)
class HarmCategory:
    """One category of harmful content."""

    category: str
    documents: int
    """Documents with any term of the lexicon."""
    threshold: float | None
    """Highest score allowed, in weight of terms for each 1,000 words; None removes nothing."""
    removed: int


@dataclass(frozen=True)
class Classifier:
    """One trained classifier and what its scores decided."""

    name: str
    metrics: Metrics
    rule: str
    """What the recipe says, e.g. `keep_top 0.7`."""
    threshold: float | None
    """The score above or below which documents go; None where that is not known yet."""
    scored: int
    """Documents without duplicates."""
    removed: int

    @property
    def held_out(self) -> int:
        """Return how many texts were held out of training."""
        return self.metrics.held_out_positives + self.metrics.held_out_negatives


@dataclass(frozen=True)
class CorpusChecks:
    """All checks that the recipe asks for; the others are None or empty."""

    documents: int
    """Documents that the corpus stage read."""
    personal_data: PersonalData | None
    harm: tuple[HarmCategory, ...]
    classifiers: tuple[Classifier, ...]

    def __bool__(self) -> bool:
        return bool(self.personal_data or self.harm or self.classifiers)


def read_corpus_checks(store: Store, record: RunRecord) -> CorpusChecks:
    """Read what was counted, as far as the run came."""
    dataset = count_dataset(store, record, "corpus")
    counters = dataset.counters if dataset else {}
    config = CorpusConfig.model_validate(record.stages["corpus"].plan.config)
    return CorpusChecks(
        documents=counters.get("read", 0),
        personal_data=_personal_data(config, counters),
        harm=tuple(_harm(config, counters)),
        classifiers=tuple(_classifiers(store, record, config, counters)),
    )


def _personal_data(config: CorpusConfig, counters: Mapping[str, int]) -> PersonalData | None:
    asked = config.personal_data
    if not asked:
        return None
    kinds = (
        PersonalDataKind(
            kind, counters.get(f"personal_data.{kind}", 0), PLACEHOLDERS[kind] if kind in asked.replace else None
        )
        for kind in KINDS
    )
    rewritten, removed = counters.get("personal_data.documents", 0), counters.get(f"removed.{TOO_MUCH}", 0)
    return PersonalData(tuple(kinds), rewritten, asked.max_per_document, removed)


def _harm(config: CorpusConfig, counters: Mapping[str, int]) -> Iterator[HarmCategory]:
    for category in CATEGORIES if config.harm else ():
        found, removed = counters.get(f"harm.{category}", 0), counters.get(f"removed.harm_{category}", 0)
        yield HarmCategory(category, found, config.harm.thresholds.get(category) if config.harm else None, removed)


def _classifiers(
    store: Store, record: RunRecord, config: CorpusConfig, counters: Mapping[str, int]
) -> Iterator[Classifier]:
    if "classifiers" not in record.stages:
        return
    scores = count_dataset(store, record, "scores")
    lowest = _lowest_kept(store, record)
    for _, rows in sampled_rows(store, stage_folder(record, "classifiers"), ["name", "metrics"]):
        for row in rows:
            name = str(row["name"])
            rule = config.classifiers[name]
            fixed = rule.min_score if rule.min_score is not None else rule.max_score
            yield Classifier(
                name=name,
                metrics=Metrics.model_validate(json.loads(row["metrics"])),
                rule=_in_words(rule),
                threshold=lowest.get(name) if fixed is None else fixed,
                scored=scores.counters["scored"] if scores else 0,
                removed=counters.get(f"removed.{reason_name(name)}", 0),
            )


def _lowest_kept(store: Store, record: RunRecord) -> dict[str, float]:
    """Return the lowest score that each share to keep came to, by classifier."""
    if "thresholds" not in record.stages:
        return {}
    tables = sampled_tables(store, stage_folder(record, "thresholds"), LOWEST_KEPT.names)
    return {name: lowest.score for name, lowest in read_lowest_kept(table for _, table in tables).items()}


def _in_words(rule: ScoreRuleConfig) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in rule.model_dump(exclude_none=True).items())
