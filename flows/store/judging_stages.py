"""The stages that decide on documents, and by which tests over stored signals each of them does.

Notable: what-if judges by these tests again and the report draws their thresholds, so a stage that judges by a new
signal says so here, once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from flows.recipe.stage_plan import StagePlan
from flows.store.run_record import RunRecord
from tasks.classify.training import ScoreRuleConfig
from tasks.corpus.corpus import CorpusConfig
from tasks.corpus.filter_tests import JUDGING_FIELDS, filter_tests
from tasks.corpus.signal_tests import SignalTest
from tasks.corpus.stage_tests import CORPUS_FIELDS, EXTRACT_FIELDS, corpus_tests, extract_tests
from tasks.extract.main_text import ExtractionConfig
from tasks.filter.measure_and_judge import FilterConfig

Plans = Mapping[str, StagePlan]


@dataclass(frozen=True)
class JudgingStage:
    """How one stage decides."""

    judges: str | None
    """The stage whose documents it judges; None: the records of the archive."""
    tests: Callable[[Plans], tuple[SignalTest, ...]]
    """The tests over its decisions' signals, as planned."""


def _extract_tests(plans: Plans) -> tuple[SignalTest, ...]:
    return extract_tests(ExtractionConfig.model_validate(plans["extract"].config))


def _filter_tests(plans: Plans) -> tuple[SignalTest, ...]:
    return filter_tests(FilterConfig.model_validate(plans["filter"].config))


def _corpus_tests(plans: Plans) -> tuple[SignalTest, ...]:
    config = CorpusConfig.model_validate(plans["corpus"].config)
    rules = plans["thresholds"].config["classifiers"] if "thresholds" in plans else {}
    classifiers = {name: ScoreRuleConfig.model_validate(rule) for name, rule in rules.items()}
    return corpus_tests(config.harm, config.personal_data, classifiers)


JUDGING_STAGES: Final[Mapping[str, JudgingStage]] = MappingProxyType(
    {
        "extract": JudgingStage(None, _extract_tests),
        "filter": JudgingStage("extract", _filter_tests),
        "corpus": JudgingStage("filter", _corpus_tests),
    }
)
"""By name, in order."""

_JUDGED_FIELDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"extract": EXTRACT_FIELDS, "filter": JUDGING_FIELDS, "thresholds": ("classifiers",), "corpus": CORPUS_FIELDS}
)


def is_judged_by(stage: str, field: str) -> bool:
    """Whether a field of a stage's configuration changes verdicts, and nothing that is measured."""
    return any(field == judged or field.startswith(f"{judged}.") for judged in _JUDGED_FIELDS.get(stage, ()))


def plans_of(record: RunRecord) -> dict[str, StagePlan]:
    """The stages of a run as it planned them."""
    return {name: stage.plan for name, stage in record.stages.items()}
