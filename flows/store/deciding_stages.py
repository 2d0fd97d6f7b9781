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
from tasks.dataset.stage import OWN_CODE
from tasks.dataset.store import Store
from tasks.own_code.named_code import known_object

Plans = Mapping[str, StagePlan]

DECIDING_STAGES = {name: stage for name, stage in STAGES.items() if stage.rules}
"""Our own by name, in order."""

_OUTCOMES: Final = MappingProxyType({"extract": "with text", "filter": "kept by the filter", "corpus": "in the corpus"})


def deciding_stages(plans: Plans) -> list[str]:
    """Return the stages of a run that decide on documents, in order: ours, and those of the user's in place of one."""
    own = {name for plan in plans.values() for name in plan.stand_ins.values()}
    return [name for name in plans if name in DECIDING_STAGES or name in own]


def decides_on(name: str, plans: Plans) -> str | None:
    """Return the stage on whose documents this one decides; None: on the records of the archive."""
    return next((one for one in plans[name].upstream if one in deciding_stages(plans)), None)


def rules_of(name: str, plans: Plans) -> tuple[Rule, ...]:
    """Return the rules over the signals in a stage's decisions, as planned.

    A stage of the user's own has none unless its code was run in this process already: a store's code is not run.
    """
    stage = DECIDING_STAGES.get(name) or known_object(plans[name].config.get(OWN_CODE, ""))
    return stage.rules({stage: plan.config for stage, plan in plans.items()}) if stage and stage.rules else ()


def is_read_by_rules(stage: str, field: str) -> bool:
    """Return whether rules read a field of a stage's configuration, and nothing that is measured depends on it.

    The code of a stage of the user's own may do both; its rules are what can be applied again.
    """
    if stage not in STAGES:
        return field == OWN_CODE
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
