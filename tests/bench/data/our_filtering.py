"""Our extract and filter stages on one WARC file, as a run has them: each part in a worker process of its own.

Notable: what is counted is the worker's processor time and that of watching it; parts are written as in a run.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.dataset.manifest import decisions_folder
from tasks.dataset.parts import PartFooter, part_name, read_part
from tasks.dataset.stage import PartJob, Progress
from tasks.dataset.store import Store
from tasks.extract.config import ExtractionConfig
from tasks.fetch.crawl_listing import SourceConfig
from tasks.filter.config import FilterConfig
from tasks.part_runner import run_part
from tasks.workers.worker_process import WorkerLimits, run_isolated

_PRELOAD = ("tasks.part_runner", "tests.bench.data.our_filtering")


@dataclass(frozen=True)
class FilteredWarc:
    """What became of one WARC file."""

    seconds: float
    """Processor time."""
    n_records: int
    """Responses read."""
    kept: list[str]
    """Ids of the kept documents."""
    decisions: list[dict[str, Any]]
    """Of both stages."""


def build(job: PartJob, progress: Progress) -> tuple[PartFooter, float]:
    """In the worker: the part, and the processor seconds that this process has used since it was born."""
    return run_part(job, progress), time.process_time()


def filter_warc(
    crawl_folder: Path, warc: Path, store: Path, extraction: ExtractionConfig, filters: FilterConfig
) -> FilteredWarc:
    """Extract and filter a WARC file below `crawl_folder` into `store`, which must be new."""
    path = warc.relative_to(crawl_folder).as_posix()
    source = SourceConfig(base=str(crawl_folder), crawl=path.split("/")[1])
    fetched, place = {"fetch": "0" * 16}, source.model_dump(mode="json")
    jobs = [
        PartJob(str(store), "extract", "e" * 16, 0, "warc", extraction.model_dump(mode="json"), fetched, place, path),
        PartJob(str(store), "filter", "f" * 16, 0, "text", filters.model_dump(mode="json"), {"extract": "e" * 16}),
    ]
    seconds = -time.process_time()
    for job in jobs:
        seconds += run_isolated(build, job, WorkerLimits(), print, _PRELOAD)[1]
    seconds += time.process_time()
    opened = Store(str(store))
    kept = [each for table in read_part(opened, jobs[1].path, ["id"]) for each in table["id"].to_pylist()]
    decided = [
        row
        for job in jobs
        for table in read_part(opened, f"{decisions_folder(job.stage, job.fingerprint)}/{part_name(0)}")
        for row in table.to_pylist()
    ]
    n_records = sum(row["stage"] == "extract" for row in decided)
    return FilteredWarc(seconds, n_records, kept, decided)
