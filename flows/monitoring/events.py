"""Events in Prefect when a stage and when a model is done, for automations of the user's own.

| event | resource | payload |
|---|---|---|
| `sluice.stage.done` | `sluice.dataset.<stage>.<fingerprint>` | run, recipe, crawl, stage, fingerprint, path in the store, digest, rows, bytes, parts, parts_built, seconds, counters |
| `sluice.model.done` | `sluice.model.<name>` | run, recipe, crawl, stage, fingerprint, path in the store, and the stage's summary: steps, tokens, losses |

Notable: a stage that was done already gives its event too, with 0 `parts_built`, so a chain of automations starts again
where it was broken off. A model gives its event once, from the run that ended its training. Prefect adds the flow run.
"""  # noqa: E501 - a table

from collections.abc import Mapping

from prefect.events import emit_event

from flows.monitoring.observer import Observer
from flows.store.run_record import RunRecord
from tasks.dataset.manifest import Manifest


class Events(Observer):
    """Emits the events of one flow run; told inside the flow."""

    def stage_ended(self, record: RunRecord, stage: str, manifests: Mapping[str, Manifest]) -> None:
        """Emit that a stage is done, and that its model is."""
        ended, manifest = record.stages[stage], manifests.get(stage)
        if ended.state != "done" or manifest is None:
            return
        store = str(record.settings["store"])
        common = {"run": record.run, "recipe": record.recipe["name"], "crawl": record.crawl, "stage": stage}
        common["fingerprint"] = manifest.fingerprint
        emit_event(
            "sluice.stage.done",
            {
                "prefect.resource.id": f"sluice.dataset.{stage}.{manifest.fingerprint}",
                "prefect.resource.name": f"{stage} of {record.crawl}",
                "sluice.recipe": str(record.recipe["name"]),
                "sluice.stage": stage,
                "sluice.store": store,
            },
            payload={
                **common,
                "path": ended.plan.folder,
                "digest": manifest.digest,
                "rows": manifest.rows,
                "bytes": manifest.bytes,
                "parts": len(manifest.parts),
                "parts_built": ended.parts_built,
                "seconds": round(ended.seconds, 3),
                "counters": manifest.counters,
            },
        )
        if ended.plan.is_training and ended.parts_built and "model" in ended.summary:
            path = str(ended.summary["model"])
            name = path.rsplit("/", 1)[-1]
            emit_event(
                "sluice.model.done",
                {
                    "prefect.resource.id": f"sluice.model.{name}",
                    "prefect.resource.name": name,
                    "sluice.recipe": str(record.recipe["name"]),
                    "sluice.stage": stage,
                    "sluice.store": store,
                },
                payload={**common, "path": path, "summary": ended.summary},
            )
