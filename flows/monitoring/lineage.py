"""A run and its stages as OpenLineage events, for Marquez, DataHub and others, where `sluice[lineage]` is installed.

Notable:
- Where the events go is OpenLineage's own configuration: `OPENLINEAGE_URL`, `OPENLINEAGE__TRANSPORT__...`, or an
  `openlineage.yml` in the current folder or in `~/.openlineage`. Without any, none are made.
- A job is a flow of a recipe, and each of its stages is a job below it. A dataset is named by its place; its version is
  the digest of its content, equal for equal content.
- A receiver that is slow or away holds no run up: a thread of its own sends the events, in their order, and the end of
  a run waits for it a few seconds.
"""

import logging
import os
import queue
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flows.monitoring.observer import Observer
from flows.store.run_record import RunRecord
from tasks.addresses.secrets_in_addresses import redacted
from tasks.dataset.manifest import Manifest, dataset_folder
from tasks.dataset.store import Store

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import InputDataset, OutputDataset

_PRODUCER = "https://pypi.org/project/sluice"
_NAMESPACE = "sluice"
_LAST_SECONDS = 3.0
_LOGGER = logging.getLogger(__name__)
_EVENT_TYPES = {"done": "COMPLETE", "completed": "COMPLETE", "failed": "FAIL", "cancelled": "ABORT"}


def lineage_observers() -> list[Observer]:
    """Return what sends lineage; nothing where OpenLineage is not configured, or not installed."""
    folders = (Path(), Path.home() / ".openlineage")
    configured = any(name.startswith("OPENLINEAGE_") for name in os.environ)
    if not configured and not any((folder / "openlineage.yml").is_file() for folder in folders):
        return []
    if find_spec("openlineage") is None:
        return []
    from openlineage.client import OpenLineageClient

    return [Lineage(OpenLineageClient())]


class Lineage(Observer):
    """Sends the events of one run."""

    def __init__(self, client: "OpenLineageClient") -> None:
        from openlineage.client.uuid import generate_new_uuid

        self._client = client
        self._new_id = generate_new_uuid
        self._run = str(generate_new_uuid())
        self._stages: dict[str, str] = {}
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._sending = threading.Thread(target=self._send, name="lineage", daemon=True)
        self._sending.start()

    def run_began(self, record: RunRecord) -> None:
        """Send that the flow's job has started."""
        self._emit("START", self._run, _job(record))

    def stage_began(self, record: RunRecord, stage: str, manifests: Mapping[str, Manifest]) -> None:
        """Send that a stage's job has started, with what it reads."""
        self._stages[stage] = str(self._new_id())
        self._emit_stage("START", record, stage, _inputs(record, stage, manifests), [])

    def stage_ended(self, record: RunRecord, stage: str, manifests: Mapping[str, Manifest]) -> None:
        """Send how a stage's job ended, with what it wrote."""
        ended = _EVENT_TYPES[record.stages[stage].state]
        outputs = _outputs(record, stage, manifests) if ended == "COMPLETE" else []
        self._emit_stage(ended, record, stage, _inputs(record, stage, manifests), outputs)

    def run_ended(self, record: RunRecord) -> None:
        """Send how the flow's job ended, and wait a little for what is still to be sent."""
        from openlineage.client.facet_v2 import error_message_run

        facets = {}
        if record.error:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(record.error, "Python")
        self._emit(_EVENT_TYPES[record.state], self._run, _job(record), facets)
        self._events.put(None)
        self._sending.join(_LAST_SECONDS)

    def _emit_stage(
        self,
        kind: str,
        record: RunRecord,
        stage: str,
        inputs: "Sequence[InputDataset]",
        outputs: "Sequence[OutputDataset]",
    ) -> None:
        from openlineage.client.facet_v2 import parent_run

        parent = parent_run.ParentRunFacet(
            run=parent_run.Run(runId=self._run), job=parent_run.Job(namespace=_NAMESPACE, name=_job(record))
        )
        name = f"{_job(record)}.{stage}"
        self._emit(kind, self._stages[stage], name, {"parent": parent}, inputs, outputs)

    def _emit(
        self,
        kind: str,
        run: str,
        job: str,
        facets: Mapping[str, Any] | None = None,
        inputs: "Sequence[InputDataset]" = (),
        outputs: "Sequence[OutputDataset]" = (),
    ) -> None:
        from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

        event = RunEvent(
            eventType=RunState[kind],
            eventTime=datetime.now(UTC).isoformat(),
            run=Run(runId=run, facets=dict(facets or {})),
            job=Job(namespace=_NAMESPACE, name=job),
            producer=_PRODUCER,
            inputs=list(inputs),
            outputs=list(outputs),
        )
        self._events.put(event)

    def _send(self) -> None:
        warned = False
        while (event := self._events.get()) is not None:
            try:
                self._client.emit(event)
            except Exception as error:  # each transport has its own
                if not warned:
                    _LOGGER.warning("OpenLineage events are not received: %s", error)
                warned = True


def _job(record: RunRecord) -> str:
    return f"{record.recipe['name']}.{record.flow}"


def _inputs(record: RunRecord, stage: str, manifests: Mapping[str, Manifest]) -> "list[InputDataset]":
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import dataset_version_dataset, input_statistics_input_dataset

    upstream = [manifests[name] for name in record.stages[stage].plan.upstream if name in manifests]
    if not upstream:
        base = redacted(str(record.recipe["source"]["base"]))
        return [InputDataset(*_name(f"{base.rstrip('/')}/crawl-data/{record.crawl}"))]
    return [
        InputDataset(
            *_dataset(record, one),
            facets={"version": dataset_version_dataset.DatasetVersionDatasetFacet(one.digest)},
            inputFacets={
                "inputStatistics": input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
                    rowCount=one.rows, size=one.bytes, fileCount=len(one.parts)
                )
            },
        )
        for one in upstream
    ]


def _outputs(record: RunRecord, stage: str, manifests: Mapping[str, Manifest]) -> "list[OutputDataset]":
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import dataset_version_dataset, output_statistics_output_dataset

    if stage not in manifests:
        return []
    made = manifests[stage]
    version = dataset_version_dataset.DatasetVersionDatasetFacet(made.digest)
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=made.rows, size=made.bytes, fileCount=len(made.parts)
    )
    namespace, name = _dataset(record, made)
    outputs = [
        OutputDataset(namespace, name, facets={"version": version}, outputFacets={"outputStatistics": statistics})
    ]
    if model := record.stages[stage].summary.get("model"):
        outputs.append(OutputDataset(*_name(_location(record, str(model)))))
    return outputs


def _dataset(record: RunRecord, manifest: Manifest) -> tuple[str, str]:
    return _name(_location(record, dataset_folder(manifest.stage, manifest.fingerprint)))


def _location(record: RunRecord, path: str) -> str:
    return Store(str(record.settings["store"])).location(path)


def _name(location: str) -> tuple[str, str]:
    """Return namespace and name by OpenLineage's conventions: `s3://bucket` and the key, `file` and the path."""
    place = urlsplit(location)
    if not place.netloc:
        return "file", place.path
    return f"{place.scheme}://{place.netloc}", place.path.strip("/")
