"""thresholds: the score at which each classifier parts what stays from what goes, found over the whole crawl."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from tasks.classify.score_thresholds import THRESHOLDS, find_threshold, thresholds_table
from tasks.classify.training import ClassifierConfig, ScoreRuleConfig
from tasks.dataset.stage import Output, PartContext, Stage, Upstream


def run(context: PartContext) -> Iterator[Output]:
    """Yield a row for each classifier."""
    rules = {name: ScoreRuleConfig.model_validate(rule) for name, rule in context.job.config["classifiers"].items()}
    read = context.reader("scores")
    yield Output(thresholds_table([find_threshold(name, rule, read) for name, rule in rules.items()]))


class _Recipe(Protocol):
    classifiers: dict[str, ClassifierConfig]


def _config(recipe: _Recipe) -> dict[str, Any] | None:
    """Return what each classifier's scores decide; None where the recipe has no classifier."""
    rules = {
        name: config.model_dump(mode="json", include=set(ScoreRuleConfig.model_fields))
        for name, config in sorted(recipe.classifiers.items())
    }
    return {"classifiers": rules} if rules else None


STAGE = Stage(
    name="thresholds",
    version=1,
    upstream=(Upstream("scores", all_parts=True),),
    config_of=_config,
    rows=THRESHOLDS,
    run=run,
)
