"""The whole way from a store and a recipe to what would change."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

from flows.recipe.recipe import Recipe
from flows.what_if.decided_run import JudgedRun, open_judged_run
from flows.what_if.keep_top import with_scores_to_keep
from flows.what_if.outcome import WhatIf, reckon, stage_changes
from flows.what_if.parts import Tally, tally_part
from tasks.dataset.store import Store

_READERS = 4


def what_if(store: Store, recipe: Recipe, samples: int = 5) -> WhatIf:
    """DocumentCheck the newest run that the filter has judged as `recipe` would.

    `samples`: how many documents of each changed side to name. Raises what `open_judged_run` raises.
    """
    started = time.monotonic()
    run = with_scores_to_keep(store, open_judged_run(store, recipe))
    tallies = _tallies(store, run, samples)
    stages = stage_changes(store, run.stages, tallies)
    return reckon(run, stages, tallies, seconds=time.monotonic() - started)


def _tallies(store: Store, run: JudgedRun, samples: int) -> dict[str, Tally]:
    """Every stage's counts over all parts; memory holds as many parts as there are readers."""
    totals = {stage.stage: Tally() for stage in run.stages}
    places = range(len(run.parts))
    with ThreadPoolExecutor(min(_READERS, os.cpu_count() or 1)) as readers:
        for tallies in readers.map(lambda at: tally_part(store, run.parts[at], at, run.stages, samples), places):
            for name, tally in tallies.items():
                totals[name].add(tally, samples)
    return totals
