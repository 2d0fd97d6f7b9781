"""From a planned stage to its jobs: how many parts, and what the digest of each part's inputs covers."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from tasks.dataset.jobs import fed, following_jobs, part_jobs
from tasks.dataset.manifest import Manifest, ManifestPart
from tasks.dataset.parts import PartFooter
from tasks.dataset.schemas import DOCUMENTS
from tasks.dataset.stage import DatasetContext, Output, PartContext, PartInput, Stage, Upstream
from tasks.dataset.store import Store


def no_rows(context: PartContext) -> Iterator[Output]:
    yield Output()


def stage(*upstream: Upstream, **fields: object) -> Stage:
    values = {"name": "new", "version": 1, "config_of": lambda recipe: {}, "rows": DOCUMENTS, "run": no_rows} | fields
    return Stage(upstream=upstream, **values)


def manifest(name: str, *digests: str) -> Manifest:
    part = {"path": "part-00000.parquet", "rows": 0, "bytes": 0, "inputs": "", "counters": {}}
    parts = [ManifestPart.model_validate(part | {"digest": digest}) for digest in digests]
    whole = {"rows": 0, "bytes": 0, "digest": "".join(digests), "counters": {}}
    return Manifest.model_validate(
        {"stage": name, "fingerprint": "f", "version": 1, "config": {}, "upstream": {}, "parts": parts} | whole
    )


def context(tmp_path: Path, *manifests: Manifest) -> DatasetContext:
    known = {manifest.stage: manifest for manifest in manifests}
    return DatasetContext(Store(str(tmp_path)), "f", {}, dict.fromkeys(known, "f"), known, {})


def test_a_stage_has_the_parts_of_the_first_upstream_that_is_not_read_whole(tmp_path: Path) -> None:
    known = context(tmp_path, manifest("joined", "j"), manifest("mapped", "a", "b", "c"))
    assert len(part_jobs(stage(Upstream("joined", all_parts=True), Upstream("mapped")), known)) == 3
    assert len(part_jobs(stage(Upstream("joined", all_parts=True)), known)) == 1
    assert len(part_jobs(stage(parts=lambda context: [PartInput(file="x"), PartInput(file="y")]), known)) == 2


def test_a_part_is_known_by_its_own_upstream_part_and_all_that_is_joined(tmp_path: Path) -> None:
    new = stage(Upstream("mapped"), Upstream("joined", all_parts=True))

    def inputs(mapped: tuple[str, ...], joined: str) -> list[str]:
        return [
            job.inputs
            for job in part_jobs(new, context(tmp_path, manifest("mapped", *mapped), manifest("joined", joined)))
        ]

    before = inputs(("a", "b"), "j")
    assert inputs(("a", "b", "c"), "j")[:2] == before, "growing is not redoing"
    assert [x == y for x, y in zip(inputs(("a", "B"), "j"), before, strict=True)] == [True, False]
    assert [x == y for x, y in zip(inputs(("a", "b"), "J"), before, strict=True)] == [False, False]


def test_what_a_stage_names_itself_counts(tmp_path: Path) -> None:
    def inputs(part: PartInput) -> str:
        (job,) = part_jobs(stage(parts=lambda context: [part]), context(tmp_path))
        return job.inputs

    parts = [PartInput(), PartInput(file="a"), PartInput(file="b"), PartInput(digest="a"), PartInput(digest="b")]
    assert len({inputs(part) for part in parts}) == len(parts)


def test_a_following_part_waits_for_the_one_before_it(tmp_path: Path) -> None:
    first = part_jobs(stage(name="first", parts=lambda context: [PartInput(file="a")]), context(tmp_path))
    (job,) = following_jobs(stage(Upstream("first"), runs_with="first"), context(tmp_path), first)
    assert (job.stage, job.file) == ("new", "a")
    footer = PartFooter("first", "f", first[0].inputs, "digest", 1)
    other = dataclasses.replace(footer, digest="other")
    assert len({job.inputs, fed(job, footer).inputs, fed(job, other).inputs}) == 3
