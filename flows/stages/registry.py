"""Every stage by name, in the order of the work: those of the data half, then the programs of the model half."""

from collections.abc import Iterable, Mapping

from flows.stages import evaluate, export, ladder, pretrain, sft
from tasks.dataset.stage import Stage
from tasks.registry import STAGES as DATA_STAGES

PROGRAMS = {stage.name: stage for stage in (pretrain.STAGE, sft.STAGE, evaluate.STAGE, export.STAGE, ladder.STAGE)}
STAGES: Mapping[str, Stage] = {**DATA_STAGES, **PROGRAMS}


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
