"""Trainings beside the run on the corpus in the store, which `ladder` and `tune` compare by their held-out losses.

Notable: each is a retried task with a dataset of one row, so one that is finished is not trained again.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flows.engine.build import take_finished
from flows.engine.open_run import open_run
from flows.engine.programs import read_summary, require_programs, run_planned_program
from flows.engine.run import Run
from flows.launch.training_command import require_launch
from flows.prepare.finished_dataset import finished_manifest
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from flows.recipe.stage_plan import StagePlan
from flows.stages.plan import stage_plan
from flows.stages.program import ProgramStage
from tasks.base.errors import PermanentError
from tasks.registry import STAGES as DATA_STAGES


@contextmanager
def trial_run(recipe: Recipe, settings: RunSettings, stage: ProgramStage) -> Iterator[Run]:
    """Open a run whose corpus is finished, for trainings of `stage`; `PermanentError` where they could not be made."""
    with open_run(recipe, settings, goes_on=True) as run:
        require_programs([stage])
        require_launch(recipe.launch, run.store)
        take_finished(run, DATA_STAGES)
        counted = run.manifests["tokens"].counters
        if counted["tokens"] == counted["train_tokens"]:
            raise PermanentError(
                "Losses are compared on held-out documents, and this corpus has none: raise tokens.validation_fraction"
                " and run `sluice corpus` again."
            )
        yield run


def trial_plan(run: Run, stage: ProgramStage, config: Mapping[str, Any]) -> StagePlan:
    """Return the plan of a training with this configuration on the run's corpus."""
    return stage_plan(stage, config, {each.stage: run.plans[each.stage].fingerprint for each in stage.upstream})


def trial_summary(run: Run, stage: ProgramStage, plan: StagePlan, label: str) -> dict[str, Any]:
    """Return what a training came to; train it unless that is done. `label` is how the Prefect UI calls it."""
    footer, _ = run_planned_program(run, stage, plan, label)
    finished_manifest(run.store, plan, [footer])
    return read_summary(run, plan)
