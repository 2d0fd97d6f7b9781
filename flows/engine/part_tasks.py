"""A stage's parts as Prefect tasks: grouped, in a bounded window, each part in a worker process of its own.

Notable: the store decides what is done and Prefect decides what runs, so tasks are never cached. After a worker dies
on a page, another one skips that page; a part that fails for good ends the stage once the parts that are running have
finished.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial, wraps
from threading import Event
from typing import Any, cast

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, as_completed
from prefect.states import Cancelled
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.engine.run import Run
from flows.engine.task_runner import Submit
from flows.prepare.finished_dataset import done_parts
from flows.recipe.settings import RunSettings
from tasks.base.errors import PermanentError, TemporaryError
from tasks.dataset.earlier_parts import take_earlier_parts
from tasks.dataset.parts import PartFooter
from tasks.dataset.stage import PartJob, Stage
from tasks.dataset.store import Store
from tasks.part_runner import finished, run_part
from tasks.registry import stage_of
from tasks.workers.worker_process import WorkerDied, WorkerLimits, run_isolated

RETRY_DELAYS = [2.0, 10.0, 60.0]
"""Seconds before each new try of a task; jitter makes each up to half as long again."""
MAX_FATAL_RECORDS = 100
"""Records of one part that may kill its worker before the part is given up."""
_PRELOAD = ("tasks.part_runner", "datasketch", "scipy.sparse.csgraph")
"""What the fork server imports for all workers: the stages, and what these import only when they run."""
_MAX_THREADS = 256


def part_task_runner() -> TaskRunner[PrefectFuture[Any]]:
    """Return a runner of threads that wait on worker processes; the window keeps `settings.workers` of them busy."""
    return cast(TaskRunner[PrefectFuture[Any]], ThreadPoolTaskRunner[Any](max_workers=_MAX_THREADS))


def worth_another_try(task: Any, task_run: Any, state: Any) -> bool:
    """Return whether to retry: only where another try may end otherwise (Prefect's retry condition)."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, TemporaryError | ConnectionError | TimeoutError)


def part_task(function: Callable[..., Any], name: str) -> Any:
    """Return `function` as a task called `name`: retried with back-off and jitter while that can help, never cached."""

    @wraps(function)
    def body(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except WorkerDied as death:
            if death.reason == "stopped":
                return Cancelled(message=death.detail)
            raise

    return task(
        name=name,
        task_run_name="{label}",
        retries=len(RETRY_DELAYS),
        retry_delay_seconds=RETRY_DELAYS,
        retry_jitter_factor=0.5,
        retry_condition_fn=worth_another_try,
        cache_policy=NO_CACHE,
        persist_result=False,
    )(body)


def build_part(job: PartJob, settings: RunSettings, stopping: Event | None) -> PartFooter:
    """Build one part in a worker process, skipping the records that kill it; WorkerDied once `stopping` is set."""
    if done := finished(Store(job.store), job):
        return done
    logger = get_run_logger()
    limits = WorkerLimits(
        seconds=settings.part_hours * 3600,
        memory_bytes=int(settings.worker_memory_gib * 2**30),
        stall_seconds=settings.stall_seconds,
    )
    while True:
        try:
            return run_isolated(run_part, job, limits, logger.info, _PRELOAD, stopping)
        except WorkerDied as death:
            if death.reason == "stopped":
                raise
            # A death at the same record twice, before the first record or by the clock is not the page's fault.
            if death.position is None or death.position in job.skip or death.reason == "time":
                if death.reason in ("memory", "time"):
                    memory = stage_of(job).memory if death.reason == "memory" else ""
                    raise PermanentError(
                        f"{job.stage} part {job.index} needs more than a worker may use: {death.detail}. "
                        + (f"A part holds {memory}. " if memory else "")
                        + "Raise --worker-memory (settings.worker_memory_gib) or settings.part_hours and run again."
                    ) from death
                raise
            if len(job.skip) >= MAX_FATAL_RECORDS:
                raise PermanentError(
                    f"{job.stage} part {job.index}: {len(job.skip)} records killed the worker, the last at offset "
                    f"{death.position} ({death}). Raise --worker-memory (settings.worker_memory_gib) and run again."
                ) from death
            logger.warning("%s part %d: record %d: %s", job.stage, job.index, death.position, death)
            job = dataclasses.replace(job, skip={**job.skip, death.position: death.reason})


def build_parts(jobs: list[PartJob], settings: RunSettings, label: str, stopping: Event | None) -> list[PartFooter]:
    """Build a group of parts, one after the other; the body of every stage's task."""
    return [build_part(job, settings, stopping) for job in jobs]


def build_all(run: Run, stage: Stage) -> tuple[list[PartFooter], int]:
    """Return the footers of all parts of a stage in order, and how many were built."""
    jobs = run.jobs(stage)
    done, taken = done_or_taken(run.store, stage, dict(enumerate(jobs)))
    run.recorder.stage(stage.name, parts_expected=len(jobs), parts_found=len(done))
    note_taken(run, stage.name, taken, len(jobs))
    missing = len(jobs) - len(done)
    for _ in build_missing(run, stage.name, part_task(build_parts, stage.name), jobs, done):
        pass
    return [footer for _, footer in sorted(done.items())], missing


def done_or_taken(
    store: Store, stage: Stage, jobs: Mapping[int, PartJob]
) -> tuple[dict[int, PartFooter], dict[int, PartFooter]]:
    """Return the footers of the parts that need no building, by the jobs' keys; and those of them just taken over."""
    done = done_parts(store, jobs)
    taken = take_earlier_parts(store, stage, {key: job for key, job in jobs.items() if key not in done})
    return done | taken, taken


def note_taken(run: Run, stage: str, taken: Mapping[int, PartFooter], total: int) -> None:
    """Say and record how many parts of a stage are those of another dataset."""
    if taken:
        run.logger.info("%s: %d of %d parts are those of an earlier run", stage, len(taken), total)
        run.recorder.stage(stage, parts_taken=len(taken))


def build_missing(
    run: Run, stage: str, task: Any, items: Sequence[Any], done: dict[int, Any], largest: int = 32
) -> Iterator[tuple[int, Any]]:
    """Run `task` on groups of those `items` whose places are not `done`; add each result there, and yield it."""
    run.progress(stage, len(done), len(items))
    groups = grouped([place for place in range(len(items)) if place not in done], run.settings.workers, largest)
    # An event does not travel: workers of a cluster end with it.
    stopping = run.stopping if run.settings.runner == "threads" else None
    arguments = (
        ([items[place] for place in group], run.settings, f"{stage} {run.crawl} {group_label(group)}", stopping)
        for group in groups
    )
    for number, built in in_window(partial(run.submit, task), arguments, run.settings.workers):
        results = list(zip(groups[number], built, strict=True))
        done.update(results)
        run.progress(stage, len(done), len(items))
        yield from results


def grouped(indices: Sequence[int], workers: int, largest: int = 32) -> list[list[int]]:
    """Return parts in groups worth a task each: about four groups a worker, no group above `largest`."""
    size = max(1, min(largest, len(indices) // (4 * workers)))
    return [list(indices[start : start + size]) for start in range(0, len(indices), size)]


def group_label(group: Sequence[int]) -> str:
    """Return `part 3`, or `parts 3 to 18`, for a task's name."""
    return f"part {group[0]}" if len(group) == 1 else f"parts {group[0]} to {group[-1]}"


def in_window(submit: Submit, arguments: Iterable[tuple[Any, ...]], width: int) -> Iterator[tuple[int, Any]]:
    """Submit each of `arguments`, `width` at a time; yield (place, result) as they finish.

    The first failure stops further submissions, waits for what runs, and is raised.
    """
    running: dict[PrefectFuture[Any], int] = {}
    following = iter(enumerate(arguments))
    failure: BaseException | None = None
    while True:
        while failure is None and len(running) < width and (item := next(following, None)) is not None:
            running[submit(*item[1])] = item[0]
        if not running:
            break
        future = next(iter(as_completed(list(running))))
        place = running.pop(future)
        result = future.result(raise_on_failure=False)
        if isinstance(result, BaseException):
            failure = failure or result
        else:
            yield place, result
    if failure:
        raise failure
