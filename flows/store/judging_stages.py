"""The stages that decide on documents, and the rules over stored signals by which each of them does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from flows.recipe.stage_plan import StagePlan
from flows.store.run_record import RunRecord
from tasks.corpus import corpus
from tasks.corpus.corpus import CorpusConfig, corpus_rules
from tasks.dataset.rules import Rule
from tasks.extract import rules as extract
from tasks.extract.main_text import ExtractionConfig
from tasks.filter import config as filter
from tasks.filter.config import FilterConfig, filter_rules

Plans = Mapping[str, StagePlan]


@dataclass(frozen=True)
class JudgingStage:
    """How one stage decides."""

    judges: str | None
    """The stage on whose documents it decides; None: the records of the archive."""
    rules: Callable[[Plans], tuple[Rule, ...]]
    """The rules over its decisions' signals, as planned."""


JUDGING_STAGES: Final[Mapping[str, JudgingStage]] = MappingProxyType(
    {
        "extract": JudgingStage(
            None, lambda plans: extract.extract_rules(ExtractionConfig.model_validate(plans["extract"].config))
        ),
        "filter": JudgingStage(
            "extract", lambda plans: filter_rules(FilterConfig.model_validate(plans["filter"].config))
        ),
        "corpus": JudgingStage(
            "filter", lambda plans: corpus_rules(CorpusConfig.model_validate(plans["corpus"].config))
        ),
    }
)
"""By name, in order."""

_RULE_FIELDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"extract": extract.RULE_FIELDS, "filter": filter.RULE_FIELDS, "corpus": corpus.RULE_FIELDS}
)


def is_judged_by(stage: str, field: str) -> bool:
    """Return whether rules read a field of a stage's configuration, and nothing that is measured depends on it."""
    return any(field == read or field.startswith(f"{read}.") for read in _RULE_FIELDS.get(stage, ()))


def plans_of(record: RunRecord) -> dict[str, StagePlan]:
    """Return the stages of a run as it planned them."""
    return {name: stage.plan for name, stage in record.stages.items()}
