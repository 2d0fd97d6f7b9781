"""Parts that another dataset of the store has already: the same stage, the same meaning, the same inputs.

Notable: datasets stay apart, each with a folder and a manifest of its own. A part that is in several of them is one
file with several names on a local disk, and a copy made by the object store elsewhere, so a dataset can be removed
without a look at the others. What is taken over has the bytes that building it would give: nothing in a part tells of
the dataset it is in.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tasks.base.errors import PermanentError
from tasks.dataset.manifest import dataset_folder, decisions_folder, part_names, read_manifest
from tasks.dataset.parts import PartFooter, part_name, read_footer
from tasks.dataset.stage import PartJob, Stage
from tasks.dataset.store import Store

_READERS = 16


def take_earlier_parts(store: Store, stage: Stage, jobs: Mapping[int, PartJob]) -> dict[int, PartFooter]:
    """Take over what other datasets have of the parts of a stage; return the footers of those, by the jobs' keys.

    A part that is damaged, or whose decisions are missing, is left to be built.
    """
    if not jobs or stage.leaves_files:
        return {}
    one = next(iter(jobs.values()))
    there = _parts_by_inputs(store, one, {job.inputs for job in jobs.values()})
    wanted = [(key, job, there[job.inputs]) for key, job in jobs.items() if job.inputs in there]
    with ThreadPoolExecutor(_READERS) as copiers:
        taken = copiers.map(lambda one: _taken(store, stage, one[1], one[2]), wanted)
        return {key: footer for (key, _, _), footer in zip(wanted, taken, strict=True) if footer}


def _parts_by_inputs(store: Store, job: PartJob, wanted: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return where parts of the job's stage and meaning are, as (dataset's fingerprint, index) by their inputs."""
    found: dict[str, tuple[str, int]] = {}
    missing = set(wanted)
    for other in store.names(f"datasets/{job.stage}"):
        if not missing:
            break
        if other == job.fingerprint or "." in other:  # its own, or a manifest
            continue
        names = part_names(store, dataset_folder(job.stage, other))
        first = read_footer(store, f"{dataset_folder(job.stage, other)}/{names[0]}") if names else None
        if first is None or (first.stage, first.fingerprint) != (job.stage, job.part_fingerprint):
            continue
        inputs = _inputs_of(store, job.stage, other, names)
        here = {digest: (other, index) for digest, index in inputs.items() if digest in missing}
        found |= here
        missing -= here.keys()
    return found


def _inputs_of(store: Store, stage: str, fingerprint: str, names: Sequence[str]) -> dict[str, int]:
    """Return the index of each part of a dataset by its inputs: from the manifest, or from the parts themselves."""
    try:
        manifest = read_manifest(store, stage, fingerprint)
    except PermanentError:
        manifest = None
    if manifest:
        return {part.inputs: index for index, part in enumerate(manifest.parts)}
    with ThreadPoolExecutor(_READERS) as readers:
        footers = readers.map(lambda name: read_footer(store, f"{dataset_folder(stage, fingerprint)}/{name}"), names)
        indices = [int(name[5:].partition(".")[0]) for name in names]
        return {footer.inputs: index for index, footer in zip(indices, footers, strict=True) if footer}


def _taken(store: Store, stage: Stage, job: PartJob, place: tuple[str, int]) -> PartFooter | None:
    """Give a part, and its decisions before it, the names that they have in the job's dataset."""
    other, index = place
    path = f"{dataset_folder(job.stage, other)}/{part_name(index)}"
    footer = _matching(store, path, job)
    if footer is None or footer.failed:
        return None
    if stage.decisions:
        decisions = f"{decisions_folder(job.stage, other)}/{part_name(index)}"
        if not _matching(store, decisions, job):
            return None
        store.copy(decisions, f"{decisions_folder(job.stage, job.fingerprint)}/{part_name(job.index)}")
    store.copy(path, job.path)
    return footer


def _matching(store: Store, path: str, job: PartJob) -> PartFooter | None:
    footer = read_footer(store, path)
    return footer if footer and footer.matches(job.stage, job.part_fingerprint, job.inputs) else None
