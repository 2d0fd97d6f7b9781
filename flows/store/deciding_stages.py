"""The stages that decide on documents, and the rules over stored signals by which each of them does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

_RULES: Final[Mapping[str, Callable[[Plans], tuple[Rule, ...]]]] = MappingProxyType(
    {
        "extract": lambda plans: extract.extract_rules(ExtractionConfig.model_validate(plans["extract"].config)),
        "filter": lambda plans: filter_rules(FilterConfig.model_validate(plans["filter"].config)),
        "corpus": lambda plans: corpus_rules(CorpusConfig.model_validate(plans["corpus"].config)),
    }
)
_RULE_FIELDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"extract": extract.RULE_FIELDS, "filter": filter.RULE_FIELDS, "corpus": corpus.RULE_FIELDS}
)
_OUTCOMES: Final = MappingProxyType({"extract": "with text", "filter": "kept by the filter", "corpus": "in the corpus"})

DECIDING_STAGES: Final = tuple(_RULES)
"""Their names, in order; each decides on the documents of the one before, the first on the records of the archive."""


def rules_of(stage: str, plans: Plans) -> tuple[Rule, ...]:
    """Return the rules over the signals in a stage's decisions, as planned."""
    return _RULES[stage](plans)


def is_read_by_rules(stage: str, field: str) -> bool:
    """Return whether rules read a field of a stage's configuration, and nothing that is measured depends on it."""
    return any(field == read or field.startswith(f"{read}.") for read in _RULE_FIELDS.get(stage, ()))


def outcome_words(stage: str) -> str:
    """Return what a document is that the stage kept, e.g. `in the corpus`."""
    return _OUTCOMES.get(stage, f"kept by {stage}")


def plans_of(record: RunRecord) -> dict[str, StagePlan]:
    """Return the stages of a run as it planned them."""
    return {name: stage.plan for name, stage in record.stages.items()}
