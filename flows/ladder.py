"""ladder: trains a series of small models on the store's corpus and fits a scaling law to their losses.

Notable:
- Each model is a retried task with a dataset of one row. A ladder that was killed goes on within the model that it
  was training; one with more sizes trains only those that are new.
- The law is fitted twice: without the model of the largest FLOP, to say how well it predicts that one, and with all
  of them, for `sluice plan`.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

from prefect import flow

from flows.engine.run import Run
from flows.engine.settings_parameter import SettingsParameter
from flows.planning.ladder_models import PlannedLadderModel, ladder_models
from flows.planning.ladder_result import LadderModel, LadderResult, LawCheck, ladder_path
from flows.planning.law_fit import fit_law
from flows.prepare.required_sections import require_decoder
from flows.recipe.parameter import RecipeParameter
from flows.recipe.stage_plan import StagePlan
from flows.stages.ladder import STAGE
from flows.trials import trial_plan, trial_run, trial_summary
from tasks.base.errors import PermanentError


@flow(name="ladder", flow_run_name="{recipe.name}: {recipe.source.crawl} ladder", persist_result=False)
def ladder(recipe: RecipeParameter, settings: SettingsParameter) -> dict[str, Any]:
    """Train the ladder's models on the corpus that is in the store and fit a scaling law; return the law."""
    require_decoder(recipe)
    with trial_run(recipe, settings, STAGE) as run:
        return climb(run).fit.law.model_dump(mode="json")


def climb(run: Run) -> LadderResult:
    """Train every model that is not there yet, inside a flow run; fit, and write the result to the store."""
    planned, left_out = _planned(run)
    plans = [trial_plan(run, STAGE, planned_model.config) for planned_model in planned]
    whole = trial_plan(run, STAGE, {"models": [plan.fingerprint for plan in plans]})
    run.plans[STAGE.name] = whole
    run.recorder.add_stage(whole)
    with run.stage(STAGE.name):
        run.recorder.stage(STAGE.name, parts_expected=len(planned))
        models = []
        for planned_model, plan in zip(planned, plans, strict=True):
            models.append(_model(run, planned_model, plan))
            run.progress(STAGE.name, len(models), len(planned))
        result = fitted(run.recipe.name, run.crawl, models, left_out)
        path = ladder_path(run.recipe.name, whole.fingerprint)
        run.store.write_bytes(path, result.model_dump_json(indent=1).encode())
        law = result.fit.law.model_dump(mode="json", exclude={"source"})
        run.recorder.stage(STAGE.name, parts_built=len(models), summary={"result": path, "law": law})
        return result


def fitted(recipe: str, crawl: str, models: Sequence[LadderModel], left_out: Sequence[str]) -> LadderResult:
    """Return the law of all models, and how that of all but the largest predicts it; `PermanentError` for too few."""
    source = f"measured by the ladder of {recipe} on {crawl}"
    fit = fit_law(models, source)
    largest = max(models, key=lambda model: model.flop)
    rest = [model for model in models if model is not largest]
    check = None
    with contextlib.suppress(PermanentError):  # too few
        without = fit_law(rest, source)
        predicted = without.law.loss(largest.parameters, largest.tokens)
        check = LawCheck(fit=without, held_back=largest, predicted=predicted)
    return LadderResult(
        recipe=recipe, crawl=crawl, models=tuple(models), left_out=tuple(left_out), fit=fit, check=check
    )


def _planned(run: Run) -> tuple[list[PlannedLadderModel], list[str]]:
    recipe = run.recipe
    pretrain = require_decoder(recipe)
    packed = run.manifests["packing"].counters
    planned, left_out = ladder_models(pretrain, recipe.ladder, packed["targets"], packed["sequences"])
    for words in left_out:
        run.logger.warning("left out, more than ladder.max_epochs (%g): %s", recipe.ladder.max_epochs, words)
    if not planned:
        raise PermanentError(
            f"The corpus has {packed['targets']:,} tokens to learn from, too few for any model of the ladder: lower"
            " ladder.sizes or ladder.tokens_per_parameter, or fetch more."
        )
    return planned, left_out


def _model(run: Run, planned_model: PlannedLadderModel, plan: StagePlan) -> LadderModel:
    """Return what one model came to; train it unless that is done."""
    run.logger.info("ladder: %s", planned_model.name)
    label = f"{STAGE.name} {run.recipe.name}: {planned_model.name}"
    summary = trial_summary(run, STAGE, plan, label)
    return LadderModel(
        parameters=planned_model.parameters,
        tokens=summary["tokens"],
        loss=summary["held_out_loss"],
        layers=planned_model.shape.layers,
        hidden_size=planned_model.shape.hidden_size,
        tokens_per_parameter=planned_model.tokens_per_parameter,
        bits_per_byte=summary["bits_per_byte"],
        flop=summary["tokens"] * planned_model.flop / (planned_model.tokens_per_parameter * planned_model.parameters),
        fingerprint=plan.fingerprint,
    )
