"""Every stage by name, in the order of the work: those of the data half, then the programs of the model half."""

from collections.abc import Collection, Iterable, Mapping

from flows.stages import evaluate, export, ladder, preference, pretrain, rl, sft, tune
from model.base.errors import did_you_mean
from tasks.base.errors import UsageError
from tasks.dataset.stage import Stage
from tasks.registry import STAGES as DATA_STAGES

_TRAINING = (pretrain.STAGE, sft.STAGE, preference.STAGE, rl.STAGE)
PROGRAMS = {stage.name: stage for stage in (*_TRAINING, evaluate.STAGE, export.STAGE, ladder.STAGE, tune.STAGE)}
STAGES: Mapping[str, Stage] = {**DATA_STAGES, **PROGRAMS}


def stages_until(names: Collection[str], last: str | None) -> list[str]:
    """Return those of some stages that `last` is made from, itself included; all without it. Raises UsageError."""
    if last is None:
        return list(names)
    if last not in names:
        near = did_you_mean(last, names)
        raise UsageError(f"--until {last}: there is no such stage{near}; there are: {', '.join(names)}.")
    return [name for name in with_upstream([last]) if name in names]


def with_upstream(names: Iterable[str]) -> list[str]:
    """Return these stages and all that they build on in any recipe, in the order of the work."""
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += [upstream.stage for upstream in STAGES[name].upstream]
    return [name for name in STAGES if name in found]
