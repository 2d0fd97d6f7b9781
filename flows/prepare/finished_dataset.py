"""What of a stage is finished; and its end, a manifest over its parts with nothing else in their folder."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from flows.recipe.stage_plan import StagePlan
from flows.stages.program import ProgramContext, ProgramStage
from tasks.dataset.jobs import fed
from tasks.dataset.manifest import (
    Manifest,
    decisions_folder,
    is_inside_folder,
    part_path,
    read_manifest,
    write_manifest,
)
from tasks.dataset.parts import PartFooter, part_name, read_footer
from tasks.dataset.stage import PartJob
from tasks.dataset.store import Store
from tasks.part_runner import finished

Pair = tuple[PartJob, PartJob]
"""The jobs of a part of one stage and of the one made from it, which are built together."""
PairFooters = tuple[PartFooter, PartFooter]
_READERS = 16


def done_parts(store: Store, jobs: Mapping[int, PartJob]) -> dict[int, PartFooter]:
    """Return the footers of the parts that are done, by the jobs' keys."""
    with ThreadPoolExecutor(_READERS) as readers:
        there = readers.map(partial(finished, store), jobs.values())
        return {key: footer for key, footer in zip(jobs, there, strict=True) if footer}


def done_pairs(store: Store, pairs: Sequence[Pair]) -> dict[int, PairFooters]:
    """Return the footers of the pairs that are done, by place; one whose first part failed is not."""
    first = done_parts(store, {place: job for place, (job, _) in enumerate(pairs)})
    following = {place: fed(pairs[place][1], footer) for place, footer in first.items() if not footer.failed}
    return {place: (first[place], footer) for place, footer in done_parts(store, following).items()}


def done_program(stage: ProgramStage, context: ProgramContext, inputs: str) -> PartFooter | None:
    """Return the footer of a program's one part if it is done, and what the program left is there."""
    plan = context.plan
    footer = read_footer(context.store, part_path(plan.name, plan.fingerprint, 0))
    if footer and footer.matches(plan.name, plan.part_fingerprint, inputs):
        return footer if not stage.leaves_model or stage.is_there(context) else None
    return None


def finished_manifest(store: Store, plan: StagePlan, footers: Sequence[PartFooter]) -> Manifest:
    """Write a dataset's manifest, unless the one that is there lists just these parts; return it."""
    there = read_manifest(store, plan.name, plan.fingerprint)
    is_moved = not is_inside_folder(store, plan.name, plan.fingerprint)
    if (
        there
        and is_moved
        and [(part.digest, part.inputs, part.counters) for part in there.parts]
        == [(footer.digest, footer.inputs, footer.counters) for footer in footers]
    ):
        return there
    _remove_leftovers(store, plan, len(footers))
    return write_manifest(store, plan.name, plan.fingerprint, plan.version, plan.config, plan.upstream, footers)


def _remove_leftovers(store: Store, plan: StagePlan, count: int) -> None:
    """Remove what earlier runs left under the same fingerprint: further parts, and parts that a kill cut short."""
    wanted = {part_name(index) for index in range(count)}
    for name in store.names(plan.folder):
        if name.startswith("part-") and name not in wanted:
            store.remove(f"{plan.folder}/{name}")
    for folder in (plan.folder, decisions_folder(plan.name, plan.fingerprint)):
        store.remove_abandoned(folder)
        for name in store.names(folder):
            if name.startswith(".part-"):
                store.remove(f"{folder}/{name}")
