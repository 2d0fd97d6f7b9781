"""The stages that decide on documents, and the rules over stored signals by which each of them does."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from flows.recipe.stage_plan import StagePlan
from flows.stages.registry import STAGES
from flows.store.datasets import sampled_tables, stage_folder
from flows.store.run_record import RunRecord
from tasks.classify.lowest_kept import LOWEST_KEPT, read_lowest_kept
from tasks.dataset.rules import Rule
from tasks.dataset.store import Store

Plans = Mapping[str, StagePlan]

DECIDING_STAGES = {name: stage for name, stage in STAGES.items() if stage.rules}
"""By name, in order."""

_OUTCOMES: Final = MappingProxyType({"extract": "with text", "filter": "kept by the filter", "corpus": "in the corpus"})


def decides_on(name: str) -> str | None:
    """Return the stage on whose documents this one decides; None: on the records of the archive."""
    mapped = DECIDING_STAGES[name].mapped
    return mapped if mapped in DECIDING_STAGES else None


def rules_of(name: str, plans: Plans) -> tuple[Rule, ...]:
    """Return the rules over the signals in a stage's decisions, as planned."""
    rules = DECIDING_STAGES[name].rules
    return rules({stage: plan.config for stage, plan in plans.items()}) if rules else ()


def is_read_by_rules(stage: str, field: str) -> bool:
    """Return whether rules read a field of a stage's configuration, and nothing that is measured depends on it."""
    return any(field == read or field.startswith(f"{read}.") for read in STAGES[stage].rule_fields)


def outcome_words(stage: str) -> str:
    """Return what a document is that the stage kept, e.g. `in the corpus`."""
    return _OUTCOMES.get(stage, f"kept by {stage}")


def lowest_scores(store: Store, record: RunRecord) -> dict[str, float]:
    """Return the lowest score that each share to keep came to in a run, by classifier."""
    if "thresholds" not in record.stages:
        return {}
    tables = sampled_tables(store, stage_folder(record, "thresholds"), LOWEST_KEPT.names)
    return {name: lowest.score for name, lowest in read_lowest_kept(table for _, table in tables).items()}


def plans_of(record: RunRecord) -> dict[str, StagePlan]:
    """Return the stages of a run as it planned them."""
    return {name: stage.plan for name, stage in record.stages.items()}
