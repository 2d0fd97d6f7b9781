"""The real extract stage on an archive of the test's own, in a worker process, with what it cost."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tasks.dataset.parts import PartFooter
from tasks.dataset.stage import PartJob
from tasks.extract.config import ExtractionConfig
from tasks.part_runner import run_part
from tasks.workers.worker_process import Progress, WorkerLimits, run_isolated

CRAWL = "CC-MAIN-2026-45"
NAME = "mutated"
WARC = f"crawl-data/{CRAWL}/segments/1.1/warc/{NAME}.warc.gz"
LIMITS = WorkerLimits(seconds=900, memory_bytes=2 << 30, stall_seconds=60)
RECORDS_PER_SAMPLE = 500


@dataclass(frozen=True)
class Cost:
    """What extraction took."""

    footer: PartFooter
    seconds: float
    """Processor time of the worker."""
    worst: tuple[float, int]
    """Most processor time between two records told, and the offset of the first."""
    peak_bytes: int
    """Most resident memory of the worker."""
    start_bytes: int
    """Resident memory of the worker at its start: the imports."""
    resident_bytes: list[int] = field(default_factory=list)
    """Resident memory of the worker at every `RECORDS_PER_SAMPLE`-th record."""


class _Stopwatch:
    """Progress that notes how long each record takes, and the memory from time to time."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._at, self._since = -1, time.process_time()
        self.worst = (0.0, -1)
        self.resident: list[int] = []
        self._told = 0

    def at(self, position: int) -> None:
        """A record begins."""
        now = time.process_time()
        self.worst = max(self.worst, (now - self._since, self._at))
        self._at, self._since = position, now
        self._told += 1
        if self._told % RECORDS_PER_SAMPLE == 0:
            self.resident.append(_resident("VmRSS"))
        self._progress.at(position)


def extract_and_measure(job: PartJob, progress: Progress) -> Cost:
    """Build the part in this process, a child of its own."""
    start, began = _resident("VmRSS"), time.process_time()
    watch = _Stopwatch(progress)
    footer = run_part(job, watch)
    watch.at(-1)
    seconds = time.process_time() - began
    return Cost(footer, seconds, watch.worst, _resident("VmHWM"), start, watch.resident)


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(field)]
    return int(line.split()[1]) * 1024


@dataclass(frozen=True)
class Extracted:
    """What became of an archive."""

    documents: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    cost: Cost

    def offsets(self) -> list[int]:
        """Where each record decided on begins, in the order of the decisions."""
        return [int(row["id"].rpartition(":")[2]) for row in self.decisions]


def place(folder: Path) -> Path:
    """Where the archive goes."""
    path = folder / WARC
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def job(folder: Path, **config: Any) -> PartJob:
    """The extraction of the archive in `folder`."""
    values = ExtractionConfig.model_validate(config).model_dump(mode="json")
    source, upstream = {"base": str(folder), "crawl": CRAWL}, {"fetch": "0" * 16}
    return PartJob(str(folder / "store"), "extract", "f" * 16, 0, "inputs", values, upstream, source, WARC)


def extract(folder: Path, limits: WorkerLimits = LIMITS, **config: Any) -> Extracted:
    """Carry it out as a worker does. Raises WorkerDied where the worker crashes or breaks a limit."""
    log: list[str] = []
    work = job(folder, **config)
    cost = run_isolated(extract_and_measure, work, limits, log.append, ("tasks.part_runner",))
    store = folder / "store"
    documents = pq.read_table(store / work.path)
    decisions = pq.read_table(next((store / "decisions").rglob("*.parquet")))
    for table in (documents, decisions):
        table.validate(full=True)  # text is UTF-8
    return Extracted(documents.to_pylist(), decisions.to_pylist(), cost)
