"""A run's metrics for Prometheus, in a file that node_exporter's textfile collector reads.

Notable:
- A run is a batch job that comes and goes, so it has no endpoint to scrape: the file stays after it, with how it ended.
  It is rewritten whole, by renaming, at most once in `_PAUSE_SECONDS`.
- A process that was killed leaves its file with the state `running`; that it is gone shows in
  `sluice_run_alive_timestamp_seconds`, which is of the last few seconds otherwise.
- All runs of a flow with a recipe on a store share a file, so files do not pile up.
"""

import threading
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import xxhash
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from flows.monitoring.artifact_key import artifact_key
from flows.monitoring.observer import Observer
from flows.store.run_record import RunRecord, StageRecord
from flows.store.training_log import TrainingStep
from tasks.dataset.manifest import Manifest

RUN_STATES = ("running", "completed", "failed", "cancelled")
STAGE_STATES = ("planned", "waiting", "running", "done", "failed", "cancelled")
_PAUSE_SECONDS = 10.0
_RUN = ("store", "flow", "recipe")
_TRAINING = {
    "step": ("sluice_training_step", "Optimizer steps done."),
    "tokens": ("sluice_training_tokens", "Tokens trained on."),
    "loss": ("sluice_training_loss_nats", "Training loss in nats per token."),
    "tokens_per_second": ("sluice_training_tokens_per_second", "Tokens trained on a second."),
    "mfu": ("sluice_training_mfu_ratio", "Share of the devices' peak FLOP that the model's FLOP are."),
}


class PrometheusFile(Observer):
    """Keeps one run's file up to date."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the one that node_exporter's `--collector.textfile.directory` names."""
        self._folder = folder
        self._lock = threading.Lock()
        self._written = 0.0
        self._parts: dict[str, tuple[int, int]] = {}
        self._trained: dict[str, tuple[TrainingStep, int]] = {}
        self._manifests: Mapping[str, Manifest] = {}

    def run_began(self, record: RunRecord) -> None:
        """Write the first file."""
        self._write(record)

    def stage_began(self, record: RunRecord, stage: str, manifests: Mapping[str, Manifest]) -> None:
        """Write that a stage runs."""
        self._write(record)

    def parts_done(self, record: RunRecord, stage: str, done: int, total: int) -> None:
        """Take down the parts, for the next file."""
        self._parts[stage] = (done, total)
        self._write_now_and_then(record)

    def trained(self, record: RunRecord, stage: str, step: TrainingStep, steps: int) -> None:
        """Take down the step, for the next file."""
        self._trained[stage] = (step, steps)
        self._write_now_and_then(record)

    def stage_ended(self, record: RunRecord, stage: str, manifests: Mapping[str, Manifest]) -> None:
        """Write how a stage ended."""
        self._manifests = dict(manifests)
        self._write(record)

    def beat(self, record: RunRecord) -> None:
        """Write that the process is alive."""
        self._write_now_and_then(record)

    def run_ended(self, record: RunRecord) -> None:
        """Write how the run ended."""
        self._write(record)

    def _write_now_and_then(self, record: RunRecord) -> None:
        if time.monotonic() - self._written >= _PAUSE_SECONDS:
            self._write(record)

    def _write(self, record: RunRecord) -> None:
        with self._lock:
            self._written = time.monotonic()
            self._folder.mkdir(parents=True, exist_ok=True)
            store = xxhash.xxh3_64_hexdigest(str(record.settings["store"]))
            path = self._folder / f"sluice-{artifact_key(record.flow, record)}-{store}.prom"
            write_to_textfile(str(path), self._registry(record))

    def _registry(self, record: RunRecord) -> CollectorRegistry:
        gauges = _Gauges((str(record.settings["store"]), record.flow, str(record.recipe["name"])))
        _add_run(gauges, record)
        for name, stage in record.stages.items():
            _add_stage(gauges, name, stage)
        # Copies, since the flow's thread adds to them.
        for name, (done, total) in dict(self._parts).items():
            gauges.set("sluice_stage_parts_done", "Parts of a stage that are done.", done, stage=name)
            gauges.set("sluice_stage_parts", "Parts that a stage has.", total, stage=name)
        for name, manifest in self._manifests.items():
            _add_dataset(gauges, name, manifest)
        for name, (step, steps) in dict(self._trained).items():
            _add_training(gauges, name, step, steps)
        return gauges.registry


class _Gauges:
    """Gauges of one run, each made when it is first set."""

    def __init__(self, run: tuple[str, ...]) -> None:
        self.registry = CollectorRegistry()
        self._run = run
        self._gauges: dict[str, Gauge] = {}

    def set(self, name: str, words: str, value: float, **labels: str) -> None:
        if name not in self._gauges:
            self._gauges[name] = Gauge(name, words, [*_RUN, *labels], registry=self.registry)
        self._gauges[name].labels(*self._run, *labels.values()).set(value)


def _add_run(gauges: _Gauges, record: RunRecord) -> None:
    began = datetime.fromisoformat(record.started).timestamp()
    gauges.set("sluice_run_start_timestamp_seconds", "When the newest run began.", began)
    if record.finished:
        ended = datetime.fromisoformat(record.finished).timestamp()
        gauges.set("sluice_run_end_timestamp_seconds", "When it ended.", ended)
    gauges.set("sluice_run_alive_timestamp_seconds", "When its process last wrote this file.", time.time())
    for state in RUN_STATES:
        gauges.set("sluice_run_state", "1 for the state that the run is in.", record.state == state, state=state)


def _add_stage(gauges: _Gauges, name: str, stage: StageRecord) -> None:
    for state in STAGE_STATES:
        words = "1 for the state that a stage is in."
        gauges.set("sluice_stage_state", words, stage.state == state, stage=name, state=state)
    words = "Wall-clock time that the run spent on a stage, once that has ended."
    gauges.set("sluice_stage_seconds", words, stage.seconds, stage=name)


def _add_dataset(gauges: _Gauges, name: str, manifest: Manifest) -> None:
    gauges.set("sluice_stage_rows", "Rows of a stage's finished dataset.", manifest.rows, stage=name)
    gauges.set("sluice_stage_bytes", "Bytes of a stage's finished dataset.", manifest.bytes, stage=name)
    if (kept := manifest.counters.get("kept")) is not None:
        for outcome, count in (("kept", kept), ("removed", manifest.counters["read"] - kept)):
            words = "Records that a stage decided on."
            gauges.set("sluice_stage_records", words, count, stage=name, outcome=outcome)


def _add_training(gauges: _Gauges, name: str, step: TrainingStep, steps: int) -> None:
    gauges.set("sluice_training_steps", "Optimizer steps planned.", steps, stage=name)
    for field, (metric, words) in _TRAINING.items():
        if (value := getattr(step, field)) is not None:
            gauges.set(metric, words, value, stage=name)
