"""The end of every stage: a manifest over its finished parts, and nothing else in the dataset's folder."""

from collections.abc import Sequence

from flows.recipe.stage_plan import StagePlan
from tasks.dataset.manifest import Manifest, decisions_folder, read_manifest, write_manifest
from tasks.dataset.parts import PartFooter, part_name
from tasks.dataset.store import Store


def finished_manifest(store: Store, plan: StagePlan, footers: Sequence[PartFooter]) -> Manifest:
    """Write a dataset's manifest, unless the one that is there lists just these parts; return it."""
    there = read_manifest(store, plan.name, plan.fingerprint)
    if there and [(part.digest, part.inputs, part.counters) for part in there.parts] == [
        (footer.digest, footer.inputs, footer.counters) for footer in footers
    ]:
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
