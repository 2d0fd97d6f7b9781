"""The stages that decide on documents by rules over stored signals."""

from __future__ import annotations

from collections.abc import Mapping

from flows.recipe.stage_plan import StagePlan
from flows.stages.registry import STAGES
from flows.store.run_record import RunRecord
from tasks.dataset.rules import Rule

Plans = Mapping[str, StagePlan]

JUDGING_STAGES = {name: stage for name, stage in STAGES.items() if stage.rules}
"""By name, in order."""


def decides_on(name: str) -> str | None:
    """Return the stage on whose documents this one decides; None: on the records of the archive."""
    mapped = JUDGING_STAGES[name].mapped
    return mapped if mapped in JUDGING_STAGES else None


def rules_of(name: str, plans: Plans) -> tuple[Rule, ...]:
    """Return the rules over the signals in a stage's decisions, as planned."""
    rules = JUDGING_STAGES[name].rules
    return rules({stage: plan.config for stage, plan in plans.items()}) if rules else ()


def is_judged_by(stage: str, field: str) -> bool:
    """Return whether rules read a field of a stage's configuration, and nothing that is measured depends on it."""
    return any(field == read or field.startswith(f"{read}.") for read in STAGES[stage].rule_fields)


def plans_of(record: RunRecord) -> dict[str, StagePlan]:
    """Return the stages of a run as it planned them."""
    return {name: stage.plan for name, stage in record.stages.items()}
