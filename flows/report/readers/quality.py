"""What the checks of the corpus found beside duplicates: personal data, harmful content, classifiers' scores.

Notable: all counts come from the counters of manifests and from the rows of small stages, so the cost does not grow
with the crawl.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from flows.store.datasets import REMOVED, count_dataset, sampled_rows, stage_folder
from flows.store.deciding_stages import lowest_scores
from flows.store.run_record import RunRecord
from tasks.classify.score_rules import reason_name
from tasks.classify.training import Metrics
from tasks.corpus.corpus import CorpusConfig
from tasks.corpus.harm import CATEGORIES, HarmConfig
from tasks.dataset.store import Store
from tasks.personal_data.check import TOO_MUCH
from tasks.personal_data.placeholders import PLACEHOLDERS
from tasks.personal_data.replacing import KINDS


class PersonalDataKind(NamedTuple):
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
    counters = dataset.counters if dataset else Counter[str]()
    config = CorpusConfig.model_validate(record.stages["corpus"].plan.config)
    return CorpusChecks(
        documents=counters["read"],
        personal_data=_personal_data(config, counters),
        harm=tuple(_harm(config.harm, counters)) if config.harm else (),
        classifiers=tuple(_classifiers(store, record, config, counters)) if config.classifiers else (),
    )


def _personal_data(config: CorpusConfig, counters: Counter[str]) -> PersonalData | None:
    if not (asked := config.personal_data):
        return None
    replaced = {kind: PLACEHOLDERS[kind] if kind in asked.replace else None for kind in KINDS}
    kinds = [PersonalDataKind(kind, counters[f"personal_data.{kind}"], mark) for kind, mark in replaced.items()]
    removed = counters[f"{REMOVED}{TOO_MUCH}"]
    return PersonalData(tuple(kinds), counters["personal_data.documents"], asked.max_per_document, removed)


def _harm(config: HarmConfig, counters: Counter[str]) -> Iterator[HarmCategory]:
    for category in CATEGORIES:
        limit, removed = config.thresholds.get(category), counters[f"removed.harm_{category}"]
        yield HarmCategory(category, counters[f"harm.{category}"], limit, removed)


def _classifiers(store: Store, record: RunRecord, config: CorpusConfig, counters: Counter[str]) -> Iterator[Classifier]:
    scores = count_dataset(store, record, "scores")
    lowest = lowest_scores(store, record)
    for _, rows in sampled_rows(store, stage_folder(record, "classifiers"), ["name", "metrics"]):
        for row in rows:
            name = str(row["name"])
            rule = config.classifiers[name].model_dump(exclude_none=True)
            yield Classifier(
                name=name,
                metrics=Metrics.model_validate_json(row["metrics"]),
                rule=", ".join(f"{field} {value:g}" for field, value in rule.items()),
                threshold=rule.get("min_score", rule.get("max_score", lowest.get(name))),
                scored=scores.counters["scored"] if scores else 0,
                removed=counters[f"{REMOVED}{reason_name(name)}"],
            )
