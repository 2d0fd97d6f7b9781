"""tune: searches for the learning rates of a recipe's model by short trainings on the store's corpus.

Notable:
- A search that was killed, or that gets more rounds, trains only what is new (flows/trials.py).
- The trainings of a round run side by side, `tune.parallel` at a time, each under a supervisor of its own.
"""

import contextvars
import dataclasses
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean
from typing import Any

from prefect import flow

from flows.engine.programs import TrainingDiverged
from flows.engine.run import Run
from flows.engine.settings_parameter import SettingsParameter
from flows.planning.ladder_models import cut_to
from flows.prepare.required_sections import require_pretraining
from flows.recipe.parameter import RecipeParameter
from flows.recipe.stage_plan import StagePlan
from flows.stages.tune import STAGE
from flows.trials import trial_plan, trial_run, trial_summary
from flows.tuning.rate_search import Rates, search_rates
from flows.tuning.result import FreshSeeds, Trial, TuneResult, tuning_path
from model.base.config import PretrainSection
from model.base.config_loading import config_as_json


@flow(name="tune", flow_run_name="{recipe.name}: {recipe.source.crawl} tune", persist_result=False)
def tune(recipe: RecipeParameter, settings: SettingsParameter) -> dict[str, float]:
    """Search for learning rates on the corpus that is in the store; return those that were found."""
    require_pretraining(recipe)
    with trial_run(recipe, settings, STAGE) as run:
        return _Search(run).result()


class _Search:
    """The search of one flow run, and every training that it has seen the end of."""

    def __init__(self, run: Run) -> None:
        assert run.recipe.pretrain
        self._run, self._config = run, run.recipe.tune
        self._section = cut_to(run.recipe.pretrain, self._config.steps)
        self._losses: dict[str, float] = {}
        self._tokens = 0
        self._trials: list[Trial] = []

    def result(self) -> dict[str, float]:
        """Search, and write what was found to the store."""
        run, config = self._run, self._config
        start: dict[str, float] = {name: getattr(self._section.optimizer, name) for name in config.rates}
        whole = self._plan(self._section, tune=config.model_dump(mode="json", exclude={"parallel"}))
        run.plans[STAGE.name] = whole
        run.recorder.add_stage(whole)
        with run.stage(STAGE.name):
            best = dict(search_rates(start, config, self._losses_in_search))
            fresh = self._on_fresh_seeds(start, best)
            found = best if fresh is None or fresh.confirm else start
            result = TuneResult(
                recipe=run.recipe.name,
                crawl=run.crawl,
                steps=config.steps,
                tokens=self._tokens,
                seeds=config.seeds,
                trials=tuple(self._trials),
                fresh=fresh,
                found=found,
            )
            path = tuning_path(run.recipe.name, whole.fingerprint)
            run.store.write_bytes(path, result.model_dump_json(indent=1).encode())
            run.recorder.stage(STAGE.name, parts_built=len(self._losses), summary={"result": path, "found": found})
            run.logger.info("%s", result.in_words())
        return found

    def _losses_in_search(self, choices: Sequence[Rates]) -> list[float]:
        losses = self._losses_of(choices, range(self._config.seeds))
        for rates, loss in zip(choices, losses, strict=True):
            trial = _trial(rates, loss)
            self._trials += [] if trial in self._trials else [trial]
        return losses

    def _on_fresh_seeds(self, own: Rates, best: Rates) -> FreshSeeds | None:
        first, count = self._config.seeds, self._config.fresh_seeds
        if best == own or not count:
            return None
        own_loss, best_loss = self._losses_of((own, best), range(first, first + count))
        return FreshSeeds(seeds=count, own=_trial(own, own_loss), best=_trial(best, best_loss))

    def _losses_of(self, choices: Sequence[Rates], seeds: Sequence[int]) -> list[float]:
        """Return the mean held-out loss of each choice; train what was not trained before."""
        plans = [[self._training(rates, seed) for seed in seeds] for rates in choices]
        missing = {plan.fingerprint: plan for of_choice in plans for plan in of_choice}
        missing = {name: plan for name, plan in missing.items() if name not in self._losses}
        self._train(list(missing.values()))
        return [fmean(self._losses[plan.fingerprint] for plan in of_choice) for of_choice in plans]

    def _training(self, rates: Mapping[str, Any], seed: int) -> StagePlan:
        section = self._section
        loop = dataclasses.replace(section.loop, seed=section.loop.seed + seed)
        if self._config.parallel > 1 and not loop.threads:
            loop = dataclasses.replace(loop, threads=max(1, self._run.settings.workers // self._config.parallel))
        optimizer = dataclasses.replace(section.optimizer, **rates)
        return self._plan(dataclasses.replace(section, loop=loop, optimizer=optimizer))

    def _plan(self, section: PretrainSection, **more: Any) -> StagePlan:
        return trial_plan(self._run, STAGE, config_as_json(section) | more)

    def _train(self, plans: Sequence[StagePlan]) -> None:
        run, done = self._run, len(self._losses)
        run.progress(STAGE.name, done, done + len(plans))
        with ThreadPoolExecutor(self._config.parallel) as pool:
            # Each in the context of this flow, so that Prefect knows whose tasks they are.
            running = [pool.submit(contextvars.copy_context().run, self._loss, plan) for plan in plans]
            try:
                for number, (plan, future) in enumerate(zip(plans, running, strict=True), start=1):
                    self._losses[plan.fingerprint] = future.result()
                    run.progress(STAGE.name, done + number, done + len(plans))
            except BaseException:
                run.stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _loss(self, plan: StagePlan) -> float:
        optimizer, seed = plan.config["optimizer"], plan.config["loop"]["seed"]
        label = ", ".join(f"{name} {optimizer[name]:.3g}" for name in self._config.rates)
        try:
            summary = trial_summary(self._run, STAGE, plan, f"tune {self._run.recipe.name}: {label}, seed {seed}")
        except TrainingDiverged as error:
            self._run.logger.warning("%s: %s", label, error)
            return math.inf
        self._tokens = summary["tokens"]
        return float(summary["held_out_loss"])


def _trial(rates: Rates, loss: float) -> Trial:
    return Trial(rates=dict(rates), loss=loss if math.isfinite(loss) else None)
