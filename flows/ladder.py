"""ladder: a series of small models trained on the store's corpus, and the scaling law that their losses follow.

Notable:
- Each model is a retried task of its own with a dataset of its own, one row of what it came to. A ladder that was
  killed goes on inside the model that it was at; one with more sizes trains only those that are new.
- The law is fitted twice: without the model that took most arithmetic, to say how well it foretells that one, and with
  all of them, for `sluice plan`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from prefect import flow

from flows.corpus import DATA_STAGES
from flows.engine.finished_dataset import finished_manifest
from flows.engine.part_tasks import part_task
from flows.engine.program_stages import dataset
from flows.engine.run import Run, open_run, working_folder
from flows.planning.ladder_models import PlannedLadderModel, ladder_models
from flows.planning.ladder_result import LadderModel, LadderResult, LawCheck, LawFit, ladder_path
from flows.planning.law_fit import fit_law
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from flows.recipe.stage_plan import StagePlan
from flows.training import launch_command, run_to_its_end, take_finished
from tasks.base.errors import PermanentError
from tasks.base.fingerprint import digest, fingerprint
from tasks.dataset.manifest import part_path
from tasks.dataset.parts import PartWriter, read_footer, read_part
from tasks.dataset.store import explaining_full_disk

VERSION = 1
"""Raised when the same models come out otherwise."""
STAGE = "ladder"
_RESULT = pa.schema([("model", pa.string())])
_UPSTREAM = ("tokens", "packing")
_PROGRAM = "model.pretrain"


@flow(name="ladder", flow_run_name="{recipe.name}: {recipe.source.crawl} ladder", persist_result=False)
def ladder(recipe: Recipe, settings: RunSettings = RunSettings()) -> dict[str, Any]:
    """Train the ladder's models on the corpus that is in the store and fit a scaling law; returns the law."""
    with open_run(recipe, settings, goes_on=True) as run:
        take_finished(run, [name for name in DATA_STAGES if name in run.plans])
        result = climb(run)
        return result.fit.law.model_dump(mode="json")


def climb(run: Run) -> LadderResult:
    """Train every model that is not there yet, inside a flow run; fit, and write the result to the store."""
    planned, left_out = _planned(run)
    plans = [_plan(planned_model, run) for planned_model in planned]
    whole = _whole_plan(run, plans)
    run.plans[STAGE] = whole
    run.recorder.add_stage(whole)
    with run.stage(STAGE):
        run.recorder.stage(STAGE, parts_expected=len(planned))
        models = []
        for planned_model, plan in zip(planned, plans, strict=True):
            models.append(_model(run, planned_model, plan))
            run.progress(STAGE, len(models), len(planned))
        result = fitted(run.recipe.name, run.crawl, models, left_out)
        path = ladder_path(run.recipe.name, whole.fingerprint)
        run.store.write_bytes(path, result.model_dump_json(indent=1).encode())
        law = result.fit.law.model_dump(mode="json", exclude={"source"})
        run.recorder.stage(STAGE, parts_built=len(models), summary={"result": path, "law": law})
        return result


def fitted(recipe: str, crawl: str, models: Sequence[LadderModel], left_out: Sequence[str]) -> LadderResult:
    """The law of all models, and how the law of all but the largest foretells that one.

    Raises `PermanentError` where the models are too few to know a law from.
    """
    source = f"measured by the ladder of {recipe} on {crawl}"
    fit = fit_law(models, source)
    largest = max(models, key=lambda model: model.flop)
    rest = [model for model in models if model is not largest]
    check = None
    if without := _fit_or_none(rest, source):
        predicted = without.law.loss(largest.parameters, largest.tokens)
        check = LawCheck(fit=without, held_back=largest, predicted=predicted)
    return LadderResult(
        recipe=recipe, crawl=crawl, models=tuple(models), left_out=tuple(left_out), fit=fit, check=check
    )


def _fit_or_none(models: Sequence[LadderModel], source: str) -> LawFit | None:
    try:
        return fit_law(models, source)
    except PermanentError:
        return None


def _planned(run: Run) -> tuple[list[PlannedLadderModel], list[str]]:
    recipe = run.recipe
    if recipe.pretrain is None:
        raise PermanentError(
            f"The recipe {recipe.name!r} has no section 'pretrain', whose model a ladder makes smaller."
        )
    if recipe.pretrain.objective != "causal":
        raise PermanentError("A ladder is of decoders: set pretrain.objective to causal.")
    counted = run.manifests["tokens"].counters
    if counted["tokens"] == counted["train_tokens"]:
        raise PermanentError(
            "A ladder compares losses on held-out documents, and this corpus has none: raise tokens.validation_fraction"
            " and run `sluice corpus` again."
        )
    packed = run.manifests["packing"].counters
    planned, left_out = ladder_models(recipe.pretrain, recipe.ladder, packed["targets"], packed["sequences"])
    for words in left_out:
        run.logger.warning("left out, more than ladder.max_epochs (%g): %s", recipe.ladder.max_epochs, words)
    if not planned:
        raise PermanentError(
            f"The corpus has {packed['targets']:,} tokens to learn from, too few for any model of the ladder: lower"
            " ladder.sizes or ladder.tokens_per_parameter, or fetch more."
        )
    return planned, left_out


def _plan(planned_model: PlannedLadderModel, run: Run) -> StagePlan:
    upstream = {name: run.plans[name].fingerprint for name in _UPSTREAM}
    return StagePlan(
        name=STAGE,
        version=VERSION,
        fingerprint=fingerprint(STAGE, VERSION, planned_model.meaning, upstream),
        config=planned_model.meaning,
        job_config=planned_model.config,
        upstream=upstream,
    )


def _whole_plan(run: Run, plans: Sequence[StagePlan]) -> StagePlan:
    upstream = {name: run.plans[name].fingerprint for name in _UPSTREAM}
    config = {"models": [plan.fingerprint for plan in plans]}
    return StagePlan(
        name=STAGE,
        version=VERSION,
        fingerprint=fingerprint(STAGE, VERSION, config, upstream),
        config=config,
        job_config=config,
        upstream=upstream,
    )


def _model(run: Run, planned_model: PlannedLadderModel, plan: StagePlan) -> LadderModel:
    """What one model came to; trained now unless it was before."""
    path = part_path(STAGE, plan.fingerprint, 0)
    inputs = digest({stage: run.manifests[stage].digest for stage in plan.upstream})
    footer = read_footer(run.store, path)
    if footer is None or not footer.matches(STAGE, plan.fingerprint, inputs):
        folder = _train(run, planned_model, plan)
        row = {"model": _outcome(planned_model, plan, folder).model_dump_json()}
        with PartWriter(run.store, path, _RESULT, STAGE, plan.fingerprint, inputs) as writer:
            writer.write(pa.Table.from_pylist([row], _RESULT))
            footer = writer.commit({})
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # they served to go on, and nothing is made of them
    finished_manifest(run.store, plan, [footer])
    (table,) = read_part(run.store, path)
    return LadderModel.model_validate_json(table["model"][0].as_py())


def _train(run: Run, planned_model: PlannedLadderModel, plan: StagePlan) -> Path:
    """Train one model to its end; returns its folder."""
    local = working_folder(run.store, run.settings)
    folder = local / "models" / f"{run.recipe.name}-{STAGE}-{plan.fingerprint[:8]}"
    places = {"folder": folder, "tokens": dataset(run, "tokens"), "packing": dataset(run, "packing")}
    values = planned_model.config | {name: str(place) for name, place in (places | {"cache": local / "cache"}).items()}
    config = folder / "config.json"
    with explaining_full_disk(str(config)):
        folder.mkdir(parents=True, exist_ok=True)
        config.write_text(json.dumps(values, indent=1, sort_keys=True))
    run.logger.info("ladder: %s", planned_model.name)
    command = launch_command(_PROGRAM, config, True, run.settings)
    label = f"{STAGE} {run.recipe.name}: {planned_model.name}"
    steps = planned_model.config["loop"]["steps"]
    # Called, not submitted: only the flow's main thread hears of a cancellation in time to save a checkpoint.
    part_task(run_to_its_end, STAGE)(command, config, folder / "metrics.jsonl", STAGE, steps, label)
    return folder


def _outcome(planned_model: PlannedLadderModel, plan: StagePlan, folder: Path) -> LadderModel:
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    end = next(event for event in reversed(events) if event["event"] == "done")
    score = next(event for event in reversed(events) if event["event"] == "eval")
    return LadderModel(
        parameters=planned_model.parameters,
        tokens=end["tokens"],
        loss=score["loss"],
        layers=planned_model.shape.layers,
        hidden_size=planned_model.shape.hidden_size,
        tokens_per_parameter=planned_model.tokens_per_parameter,
        bits_per_byte=score.get("bits_per_byte"),
        flop=end["tokens"] * planned_model.flop / (planned_model.tokens_per_parameter * planned_model.parameters),
        fingerprint=plan.fingerprint,
    )
