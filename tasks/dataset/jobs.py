"""From a planned stage to the jobs that build its parts."""

import dataclasses
from collections.abc import Mapping, Sequence

from tasks.base.fingerprint import digest
from tasks.dataset.manifest import Manifest
from tasks.dataset.parts import PartFooter
from tasks.dataset.stage import DatasetContext, PartInput, PartJob, Stage


def part_jobs(stage: Stage, context: DatasetContext) -> list[PartJob]:
    """Return a job for each part of a stage whose upstream datasets are finished."""
    if stage.parts:
        made_from = stage.parts(context)
    else:
        made_from = [PartInput()] * (len(context.manifests[stage.mapped].parts) if stage.mapped else 1)
    return [_job(stage, context, index, part) for index, part in enumerate(made_from)]


def following_jobs(stage: Stage, context: DatasetContext, jobs: Sequence[PartJob]) -> list[PartJob]:
    """Return a job of `stage` for each job of the stage that it runs with; `fed` completes it once that one is done."""
    others = {name: manifest for name, manifest in context.manifests.items() if name != stage.runs_with}
    context = dataclasses.replace(context, manifests=others)
    return [_job(stage, context, job.index, PartInput(file=job.file, limit=job.limit)) for job in jobs]


def fed(job: PartJob, before: PartFooter) -> PartJob:
    """Return a following job, now that the part before it is known by its footer."""
    return dataclasses.replace(job, inputs=digest({"own": job.inputs, before.stage: before.digest}))


def _job(stage: Stage, context: DatasetContext, index: int, part: PartInput) -> PartJob:
    return PartJob(
        store=context.store.url,
        stage=stage.name,
        fingerprint=context.fingerprint,
        index=index,
        inputs=_inputs_digest(stage, index, part, context.manifests),
        config=context.config,
        upstream=context.upstream,
        source=context.source,
        file=part.file,
        part_fingerprint=context.part_fingerprint,
        read_from=part.read_from,
        limit=part.limit,
        stand_ins=dict(context.stand_ins),
    )


def _inputs_digest(stage: Stage, index: int, part: PartInput, manifests: Mapping[str, Manifest]) -> str:
    """Return the digest of all that a part is made from: its own input, and the upstream parts' content by stage.

    Neither the part's index nor how many parts there are counts, so growing is not redoing.
    """
    found = {}
    for upstream in stage.upstream:
        manifest = None if upstream.in_part_inputs else manifests.get(upstream.stage)
        if manifest and upstream.all_parts:
            found[upstream.stage] = manifest.digest
        elif manifest and index < len(manifest.parts):
            found[upstream.stage] = manifest.parts[index].digest
    return digest({"upstream": found, "file": part.file, "digest": part.digest})
