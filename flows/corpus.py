"""crawl_to_corpus: from a crawl's WARC files to documents, tokens and the packing plan.

Notable: a WARC is fetched and extracted in one task and dropped after it, so the disk holds as many WARCs as there are
workers, not the crawl.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from prefect import flow

from flows.engine.finished_dataset import finished_manifest
from flows.engine.part_job import part_job
from flows.engine.part_tasks import build_all, build_part, group_label, grouped, in_window, part_task, part_task_runner
from flows.engine.run import Run, open_run
from flows.engine.selecting import SELECTING, fetch_cost, selecting_jobs, wanted_warcs
from flows.recipe.recipe import Recipe
from flows.recipe.settings import RunSettings
from flows.recipe.stage_plan import StagePlan
from tasks.base.errors import PermanentError
from tasks.base.fingerprint import digest
from tasks.dataset.manifest import Manifest
from tasks.dataset.parts import PartFooter
from tasks.dataset.stage import PartJob, inputs_digest
from tasks.dataset.store import Store
from tasks.fetch.crawl_listing import WarcAddress, list_warcs
from tasks.fetch.fetch import drop_warc, has_failed, is_at_hand
from tasks.part_runner import finished
from tasks.registry import STAGES

DATA_STAGES = tuple(STAGES)
"""Every stage of the data half, in order."""


@flow(
    name="crawl_to_corpus",
    flow_run_name="{recipe.name}: {recipe.source.crawl} to corpus",
    task_runner=part_task_runner(),
    persist_result=False,
)
def crawl_to_corpus(recipe: Recipe, settings: RunSettings = RunSettings()) -> dict[str, Any]:
    """Fetch, extract, filter, deduplicate, tokenize and pack a crawl; returns rows by stage."""
    with open_run(recipe, settings) as run:
        make_corpus(run)
        return {name: manifest.rows for name, manifest in run.manifests.items()}


def make_corpus(run: Run) -> None:
    """Every stage of the data half, in order, inside a flow run."""
    fetch_and_extract(run, select_pages(run) if run.source.select else list_warcs(run.source))
    for name in DATA_STAGES:
        if name in run.plans and name not in run.manifests:
            build_dataset(run, name)


def select_pages(run: Run) -> list[WarcAddress]:
    """The WARC files of which the recipe wants some pages; says what they will cost before any is fetched."""
    assert run.source.select
    for name in SELECTING:
        build_dataset(run, name)
    plan = run.plans["wanted"]
    run.logger.info("to fetch: %s", fetch_cost(run.store, plan, run.source.select).in_words())
    return wanted_warcs(run.store, run.source, plan)


def build_dataset(run: Run, name: str) -> Manifest:
    """Build what is missing of one stage's dataset and write its manifest."""
    with run.stage(name) as plan:
        jobs = dataset_jobs(run, plan)
        done = 0

        def on_part(count: int) -> None:
            nonlocal done
            done += count
            run.progress(name, done, len(jobs))

        run.recorder.stage(name, parts_expected=len(jobs))
        footers, built = build_all(name, jobs, run.settings, run.crawl, on_part)
        run.manifests[name] = finish_dataset(run, plan, footers, built)
        return run.manifests[name]


def dataset_jobs(run: Run, plan: StagePlan) -> list[PartJob]:
    """A job for each part of a stage whose upstream datasets are finished."""
    if plan.name in SELECTING:
        return selecting_jobs(run.store, run.source, plan, run.manifests)
    stage = STAGES[plan.name]
    if stage.parts:
        count = stage.parts(plan.job_config)
    else:
        mapped = [upstream.stage for upstream in stage.upstream if not upstream.all_parts]
        count = len(run.manifests[mapped[0]].parts) if mapped else 1
    manifests = {name: run.manifests[name] for name in plan.upstream}
    further = stage.further_parts(plan.job_config) if stage.further_parts else []
    jobs = [part_job(run.store, plan, index, inputs_digest(stage, index, count, manifests)) for index in range(count)]
    return jobs + [
        part_job(run.store, plan, count + place, inputs_digest(stage, count + place, count, manifests, made_from))
        for place, made_from in enumerate(further)
    ]


def fetch_and_extract(run: Run, warcs: Sequence[WarcAddress]) -> None:
    """The first two stages, WARC by WARC: each is fetched, extracted and, unless the recipe keeps it, dropped."""
    fetch, extract = run.plans["fetch"], run.plans["extract"]
    pairs = [_crawl_jobs(run, place, warc) for place, warc in enumerate(warcs)]
    for plan in (fetch, extract):
        run.recorder.stage(plan.name, parts_expected=len(pairs))
    with run.stage("fetch"), run.stage("extract"):
        footers = _done_already(run, pairs)
        run.progress("extract", len(footers), len(pairs))
        groups = grouped([place for place in range(len(pairs)) if place not in footers], run.settings.workers, 16)
        keep = run.source.keep_warcs
        arguments = [
            ([pairs[i] for i in group], run.settings, keep, f"extract {run.crawl} {group_label(group)}")
            for group in groups
        ]
        failed: list[PartJob] = []
        task = part_task(fetch_and_extract_parts, "fetch and extract")
        for place, built in in_window(task, arguments, run.settings.workers):
            footers.update(zip(groups[place], built, strict=True))
            run.progress("extract", len(footers), len(pairs))
            failed += [pairs[i][0] for i, (fetched, _) in zip(groups[place], built, strict=True) if has_failed(fetched)]
            _refuse_too_many(run, failed, len(pairs))
        both = [footer for _, footer in sorted(footers.items())]
        built = sum(len(group) for group in groups)
        run.manifests["fetch"] = finish_dataset(run, fetch, [footer for footer, _ in both], built)
        run.manifests["extract"] = finish_dataset(run, extract, [footer for _, footer in both], built)


def fetch_and_extract_parts(
    pairs: list[tuple[PartJob, PartJob]], settings: RunSettings, keep: bool, label: str
) -> list[tuple[PartFooter, PartFooter]]:
    """The body of the crawl's task: each WARC in the group fetched, extracted and dropped."""
    footers = []
    for fetch, extract in pairs:
        fetched = _at_hand(fetch, settings)
        extracted = build_part(_fed(extract, fetched), settings)
        if not keep and not has_failed(fetched):
            drop_warc(fetch)
        footers.append((fetched, extracted))
    return footers


def _at_hand(fetch: PartJob, settings: RunSettings) -> PartFooter:
    """Fetch a WARC; also again, where it was dropped before and its text is now wanted by another recipe, or where it
    could not be had."""
    store = Store(fetch.store)
    if finished(store, fetch) and not is_at_hand(fetch):
        store.remove(fetch.path)
    return build_part(fetch, settings)


def finish_dataset(run: Run, plan: StagePlan, footers: Sequence[PartFooter], built: int) -> Manifest:
    """Write a dataset's manifest, unless the one that is there lists just these parts, of which `built` are new."""
    run.recorder.stage(plan.name, parts_built=built)
    return finished_manifest(run.store, plan, footers)


def _done_already(run: Run, pairs: Sequence[tuple[PartJob, PartJob]]) -> dict[int, tuple[PartFooter, PartFooter]]:
    """Footers of the WARCs whose extraction is done, by place; their bytes are not needed again."""
    found = {}
    for place, (fetch, extract) in enumerate(pairs):
        fetched = finished(run.store, fetch)
        if fetched and has_failed(fetched):
            continue
        extracted = finished(run.store, _fed(extract, fetched)) if fetched else None
        if fetched and extracted:
            found[place] = (fetched, extracted)
    return found


def _refuse_too_many(run: Run, failed: Sequence[PartJob], count: int) -> None:
    """Raise PermanentError once more WARC files could not be had than the recipe does without."""
    if len(failed) > run.source.max_failed_share * count:
        raise PermanentError(
            f"{len(failed)} of {count} WARC files could not be had, such as {failed[0].source['path']}: more than"
            f" source.max_failed_share ({run.source.max_failed_share:g}) allows. The log says why; run again to ask for"
            " them once more, or allow more."
        )


def _fed(extract: PartJob, fetched: PartFooter) -> PartJob:
    """The extraction job, now that the digest of what it reads is known."""
    return dataclasses.replace(extract, inputs=digest({"index": extract.index, "upstream": {"fetch": fetched.digest}}))


def _crawl_jobs(run: Run, place: int, warc: WarcAddress) -> tuple[PartJob, PartJob]:
    """The jobs that fetch and extract one WARC, part `place` of both datasets."""
    source = {"source": run.source.model_dump(mode="json"), "path": warc.path}
    inputs = {"path": warc.path}
    if run.source.select:
        source["wanted"] = run.plans["wanted"].fingerprint
        inputs["wanted"] = run.manifests["wanted"].digest
    fetch = part_job(run.store, run.plans["fetch"], place, digest(inputs), source)
    return fetch, part_job(run.store, run.plans["extract"], place, "", source)
