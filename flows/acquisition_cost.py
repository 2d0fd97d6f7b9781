"""What a recipe will fetch, before it does: WARC files, requests, bytes, pages, time.

Notable: where the recipe selects pages, the numbers are those of the selection itself, which is made in the store for
it and used by the run. Otherwise a few files' sizes and footers are read, and each number says how it is known.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import TypeVar

from rich.table import Table

from flows.display.numbers import duration, size
from flows.prepare.finished_dataset import finished_manifest
from flows.recipe.recipe import Recipe
from flows.recipe.stage_plan import StagePlan
from flows.stages.plan import plan_stages
from tasks.base.config import Config
from tasks.base.errors import PermanentError
from tasks.dataset.jobs import part_jobs
from tasks.dataset.manifest import Manifest
from tasks.dataset.stage import Stage
from tasks.dataset.store import Store
from tasks.fetch import selected_records, selection
from tasks.fetch.columnar_index import index_rows, list_index_files
from tasks.fetch.crawl_listing import SourceConfig, list_warcs
from tasks.fetch.range_fetching import file_size
from tasks.fetch.source_listing import resolve_source, source_files, source_root
from tasks.fetch.wanted_dataset import fetch_cost
from tasks.part_runner import run_part
from tasks.sources.byte_source import byte_source
from tasks.workers.worker_process import Progress, WorkerDied, WorkerLimits, run_isolated

BYTES_PER_PAGE = 35_000
"""Bytes of a WARC file for each page in it, about, in Common Crawl's crawls: 1.1 GB and some 30,000 pages."""
BYTES_PER_SECOND = 20_000_000
"""What one connection delivers, about; it decides the time where requests are few and large."""
MOST_MEASURED = 5
"""Files whose size or footer is read, spread over all of them."""
PARTS_AT_ONCE = 2

MEMORY_BYTES = 2 << 30
"""What a worker may use that reads the columnar index."""

_log = logging.getLogger(__name__)

A = TypeVar("A")
T = TypeVar("T")
OnPart = Callable[[str, int, int], None]
"""Takes a stage's name, its parts done and all its parts."""


class AcquisitionCost(Config):
    """What fetching a recipe's pages takes."""

    base: str
    crawl: str
    warcs: int
    whole_warcs: int
    """WARC files that are fetched in one request, whole or from their first selected record to their last."""
    requests: int = 0
    """Requests for WARC files, listings and retries left out."""
    pages: int = 0
    fetched_bytes: int = 0
    wanted_bytes: int = 0
    index_bytes: int = 0
    """Bytes of the columnar index that were read to select pages."""
    seconds: float | None = None
    """Shortest time that the configured rate limits and a common line allow; None where nothing crosses a network."""
    basis: dict[str, str]
    """How a number is known, by field."""


def acquisition_cost(recipe: Recipe, store: Store, on_part: OnPart) -> AcquisitionCost:
    """Count or estimate the cost.

    Raises PermanentError for a crawl or an index that is not there, TemporaryError for a source that does not answer.
    """
    if web := recipe.synthetic_web:
        return AcquisitionCost(
            base="the synthetic web",
            crawl="made up on this machine",
            warcs=web.warcs,
            whole_warcs=web.warcs,
            basis={"pages": "nothing is fetched"},
        )
    source = resolve_source(recipe.source)
    recipe = recipe.model_copy(update={"source": source})
    return _of_selection(recipe, source, store, on_part) if source.select else _of_whole_files(source)


def _of_selection(recipe: Recipe, source: SourceConfig, store: Store, on_part: OnPart) -> AcquisitionCost:
    assert source.select
    plans = plan_stages(recipe, source.crawl, {})
    manifests: dict[str, Manifest] = {}
    for stage in (selection.STAGE, selected_records.STAGE):
        manifests[stage.name] = _build(store, source, stage, plans[stage.name], manifests, on_part)
    cost = fetch_cost(store, plans[selected_records.STAGE.name].fingerprint, source.select)
    seconds, pace = _least_time(source, cost.requests, cost.fetched_bytes)
    return AcquisitionCost(
        base=source.base,
        crawl=source.crawl,
        **asdict(cost),
        index_bytes=manifests[selection.STAGE.name].counters["index_bytes"],
        seconds=seconds,
        basis={
            "pages": "counted in the columnar index",
            "fetched_bytes": "summed from the columnar index",
            "seconds": pace,
        },
    )


def _build(
    store: Store,
    source: SourceConfig,
    stage: Stage,
    plan: StagePlan,
    manifests: Mapping[str, Manifest],
    on_part: OnPart,
) -> Manifest:
    context = plan.context(store, manifests, source.model_dump(mode="json"))
    jobs = part_jobs(stage, context)
    footers = []
    with ThreadPoolExecutor(PARTS_AT_ONCE) as workers:
        for footer in workers.map(partial(_isolated, run_part), jobs):
            footers.append(footer)
            on_part(plan.name, len(footers), len(jobs))
    return finished_manifest(store, plan, footers)


def _isolated(function: Callable[[A, Progress], T], argument: A) -> T:
    """Return what the function makes of files that are not ours, in a worker process with bounded memory."""
    limits = WorkerLimits(memory_bytes=MEMORY_BYTES)
    try:
        return run_isolated(function, argument, limits, _log.debug, ("tasks.part_runner",))
    except WorkerDied as death:
        raise PermanentError(
            f"The columnar index could not be read: {death}. Look at its files, or use another mirror (source.base)."
        ) from death


def _of_whole_files(source: SourceConfig) -> AcquisitionCost:
    warcs = source_files(source)
    place = byte_source(source_root(source), source.transfer)
    sizes = [file_size(place, path, source.transfer) for path in _spread(warcs)]
    taken = [size if source.bytes_per_warc is None else min(size, source.bytes_per_warc) for size in sizes]
    total = sum(taken) * len(warcs) // len(taken)
    pages_per_byte, basis = _density(source, sum(sizes) / len(sizes))
    seconds, pace = _least_time(source, len(warcs), total)
    return AcquisitionCost(
        base=source.base,
        crawl=source.crawl,
        warcs=len(warcs),
        whole_warcs=len(warcs),
        requests=len(warcs),
        pages=round(total * pages_per_byte),
        fetched_bytes=total,
        wanted_bytes=total,
        seconds=seconds,
        basis={
            "fetched_bytes": f"from the sizes of {len(sizes):,} of {len(warcs):,} files",
            "pages": basis,
            "seconds": pace,
        },
    )


def _density(source: SourceConfig, bytes_per_warc: float) -> tuple[float, str]:
    """Return the pages for each byte of a WARC file, and how that is known."""
    try:
        files = list_index_files(source)
    except PermanentError:
        return 1 / BYTES_PER_PAGE, f"estimated at {BYTES_PER_PAGE:,} bytes a page"
    counted = _isolated(index_rows, (source, _spread(files)))
    pages = sum(counted) * len(files) / len(counted)
    warcs = len(list_warcs(source.model_copy(update={"warcs": "all"})))
    basis = f"from the footers of {len(counted):,} of {len(files):,} index files"
    return pages / (warcs * bytes_per_warc), basis


def _spread(items: Sequence[T]) -> list[T]:
    """Return a few of `items`, evenly spread."""
    places = {round(step * (len(items) - 1) / (MOST_MEASURED - 1)) for step in range(MOST_MEASURED)}
    return [items[place] for place in sorted(places)]


def _least_time(source: SourceConfig, requests: int, fetched_bytes: int) -> tuple[float | None, str]:
    """Return the shortest time in seconds, None where nothing crosses a network, and how it is known."""
    if "://" not in source.base or source.base.startswith(("file://", "memory://")):
        return None, ""
    transfer = source.transfer
    seconds = max(requests / transfer.requests_per_second, fetched_bytes / (transfer.connections * BYTES_PER_SECOND))
    return seconds, (
        f"at most {transfer.requests_per_second:g} requests/s; {transfer.connections} connections"
        f" at {BYTES_PER_SECOND / 1e6:g} MB/s are assumed"
    )


def cost_table(cost: AcquisitionCost) -> Table:
    """Return the cost as a table for a terminal."""
    table = Table(title=f"{cost.crawl} from {cost.base}")
    table.add_column("to fetch")
    table.add_column("", justify="right")
    table.add_column("how it is known", overflow="fold")
    share = cost.wanted_bytes / cost.fetched_bytes if cost.fetched_bytes else 0.0
    rows = {
        "warcs": ("WARC files", f"{cost.warcs:,}"),
        "whole_warcs": ("of them in one request", f"{cost.whole_warcs:,}"),
        "requests": ("requests", f"{cost.requests:,}"),
        "fetched_bytes": ("bytes", size(cost.fetched_bytes)),
        "wanted_bytes": ("of them wanted", f"{share:.0%}"),
        "pages": ("pages", f"{cost.pages:,}"),
        "index_bytes": ("read of the index", size(cost.index_bytes)),
        "seconds": ("time, at least", "no network" if cost.seconds is None else duration(cost.seconds)),
    }
    for field, (name, value) in rows.items():
        table.add_row(name, value, cost.basis.get(field, ""))
    return table
