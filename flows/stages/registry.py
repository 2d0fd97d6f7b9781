"""Every stage by name, in the order of the work: those of the data half, then the programs of the model half."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from flows.recipe.stage_plan import StagePlan
from flows.stages import evaluate, export, ladder, preference, pretrain, rl, sft, tune
from model.base.errors import did_you_mean
from tasks.base.errors import UsageError
from tasks.dataset.stage import OWN_CODE, Stage
from tasks.own_code.named_code import load
from tasks.registry import STAGES as DATA_STAGES

_NONE: Final[Mapping[str, StagePlan]] = MappingProxyType({})

_TRAINING = (pretrain.STAGE, sft.STAGE, preference.STAGE, rl.STAGE)
PROGRAMS = {stage.name: stage for stage in (*_TRAINING, evaluate.STAGE, export.STAGE, ladder.STAGE, tune.STAGE)}
STAGES: Mapping[str, Stage] = {**DATA_STAGES, **PROGRAMS}


def with_own(own: Iterable[Stage]) -> list[Stage]:
    """Return every stage in the order of the work, those of the user's own after the data's, or after the one in whose
    place they stand.
    """
    own = list(own)
    stages: list[Stage] = []
    for stage in DATA_STAGES.values():
        stages += [stage, *(one for one in own if one.in_place_of == stage.name)]
    return [*stages, *(one for one in own if one.in_place_of is None), *PROGRAMS.values()]


def stage_of_plan(plan: StagePlan) -> Stage:
    """Return the stage that a plan is of, one of the user's own included, with what it reads in this plan."""
    stage: Stage = STAGES[plan.name] if plan.name in STAGES else load(plan.config[OWN_CODE])
    return stage.reading(plan.stand_ins)


def stages_until(names: Collection[str], last: str | None, plans: Mapping[str, StagePlan] = _NONE) -> list[str]:
    """Return those of some stages that `last` is made from, as planned or else in any recipe, itself included; all
    without it. Raises UsageError.
    """
    if last is None:
        return list(names)
    if last not in names:
        near = did_you_mean(last, names)
        raise UsageError(f"--until {last}: there is no such stage{near}; there are: {', '.join(names)}.")
    found = _with_upstream([last], plans)
    return [name for name in names if name in found]


def with_upstream(names: Iterable[str]) -> list[str]:
    """Return these stages and all that they build on in any recipe, in the order of the work."""
    found = _with_upstream(names, _NONE)
    return [name for name in STAGES if name in found]


def _with_upstream(names: Iterable[str], plans: Mapping[str, StagePlan]) -> set[str]:
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            if name in plans:
                todo += plans[name].upstream
            elif name in STAGES:
                todo += [upstream.stage for upstream in STAGES[name].upstream]
    return found
