"""What must be equal after a storm, and what must not be left over."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from flows.store.run_record import RunRecord, newest_runs
from tasks.base.errors import SluiceError
from tasks.dataset.store import Store
from tasks.registry import STAGES as DATA_STAGES
from tests.conftest import dataset_bytes

_KEPT = ("sluice-", "torchinductor_", "prefect")
"""In the names of what stays: what all runs of a user share, what torch has compiled, and empty folders that a killed
Prefect worker leaves."""


def outcome_of(store: Path) -> dict[str, Any]:
    """The data's bytes, the losses by step and the exported weights, by name."""
    outcome: dict[str, Any] = dict(dataset_bytes(store, *DATA_STAGES))
    for log in sorted((store / "models").glob("*/metrics.jsonl")):
        events = [json.loads(line) for line in log.read_text().splitlines()]
        steps = {event["step"]: event["loss"] for event in events if event["event"] == "step"}
        outcome[f"losses of {log.parent.name}"] = steps
    for weights in sorted((store / "models").glob("*/export/model.safetensors")):
        outcome[f"weights of {weights.parents[1].name}"] = weights.read_bytes()
    return outcome


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """The names of what is missing, too much or different."""
    names = sorted(expected.keys() | found.keys())
    return [f"differs: {name}" for name in names if expected.get(name) != found.get(name)]


def leftovers(store: Path, temporary: Path) -> list[str]:
    """Temporary files in the store and outside it, and leases that nobody gave back."""
    found = [path for path in store.rglob("*") if path.name.endswith((".tmp", ".old")) or ".tmp." in path.name]
    found += temporary.glob("sluice-uploads-*/*")
    found += [path for path in temporary.iterdir() if not any(word in path.name for word in _KEPT)]
    for lease in (store / "leases").glob("*/*/*.json"):
        if not json.loads(lease.read_text())["released"]:
            found.append(lease)
    return [f"left over: {path}" for path in found]


def newest_run(store: Path) -> RunRecord | None:
    """The record of the newest run, if there is one that can be read."""
    with suppress(OSError, SluiceError):
        return next(newest_runs(Store(str(store))), None)
    return None


def stage_of(store: Path) -> str:
    """The stages that the newest run's record calls running."""
    run = newest_run(store)
    if run is None:
        return "before the first stage"
    return ", ".join(name for name, stage in run.stages.items() if stage.state == "running") or "between stages"
