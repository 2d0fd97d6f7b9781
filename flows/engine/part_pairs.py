"""Two stages built together, part by part: each part of the first, the one of the second, and the first's scratch
dropped.

Notable: so the disk holds as many WARC files as there are workers, not the crawl.
"""

from threading import Event

from flows.engine.part_tasks import build_missing, build_part, done_or_taken, note_taken, part_task
from flows.engine.run import Run
from flows.prepare.finished_dataset import Pair, PairFooters
from flows.recipe.settings import RunSettings
from flows.stages.registry import STAGES
from tasks.dataset.jobs import fed
from tasks.dataset.stage import PartJob, Stage
from tasks.dataset.store import Store
from tasks.part_runner import finished

_LARGEST_GROUP = 16


def build_pairs(run: Run, first: Stage, second: Stage) -> tuple[list[PairFooters], int]:
    """Return the footers of all parts of both stages in order, and how many pairs had to be built."""
    pairs = run.pairs(first, second)
    first_done, _ = done_or_taken(run.store, first, {place: job for place, (job, _) in enumerate(pairs)})
    following = {place: fed(pairs[place][1], footer) for place, footer in first_done.items() if not footer.failed}
    second_done, taken = done_or_taken(run.store, second, following)
    done = {place: (first_done[place], footer) for place, footer in second_done.items()}
    for stage in (first, second):
        run.recorder.stage(stage.name, parts_expected=len(pairs), parts_found=len(done))
        note_taken(run, stage.name, taken, len(pairs))
    missing = len(pairs) - len(done)
    failed: list[PartJob] = []
    task = part_task(build_pair_group, f"{first.name} and {second.name}")
    for place, (footer, _) in build_missing(run, second.name, task, pairs, done, _LARGEST_GROUP):
        if footer.failed:
            failed.append(pairs[place][0])
            if first.check_failures:
                first.check_failures(failed, len(pairs))
    return [footers for _, footers in sorted(done.items())], missing


def build_pair_group(pairs: list[Pair], settings: RunSettings, label: str, stopping: Event | None) -> list[PairFooters]:
    """Build a group of pairs, one after the other; the body of their task."""
    return [_build_pair(first, second, settings, stopping) for first, second in pairs]


def _build_pair(first: PartJob, second: PartJob, settings: RunSettings, stopping: Event | None) -> PairFooters:
    store, scratch = Store(first.store), STAGES[first.stage].scratch
    # Also again where the scratch was dropped before and another recipe now reads it, or where the part failed.
    if scratch and finished(store, first) and not scratch.is_there(first):
        store.remove(first.path)
    footer = build_part(first, settings, stopping)
    following = build_part(fed(second, footer), settings, stopping)
    if scratch and not footer.failed:
        scratch.drop(first)
    return footer, following
