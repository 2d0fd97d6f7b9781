"""Runs that a server still calls running, though the processes that carried them out are gone.

Notable: such a run holds its deployment's only place for ever, so nothing of the deployment would run again. It must be
marked by whoever knows that its process is gone: the one who holds the lock of the server's folder.
"""

import contextlib
from datetime import UTC, datetime
from typing import Any

import httpx

from flows.server.loopback_server import ServerAddress

_NOT_ENDED = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}}
_CRASHED = {"type": "CRASHED", "name": "Crashed", "message": "The process that ran it was killed."}


def mark_lost_runs(address: ServerAddress, worker: str | None = None) -> None:
    """Mark runs as crashed that nothing carries out any more; only those of the Prefect worker of that name, if given.

    Those that the worker had not started yet are scheduled again: it may be a month until the next of their schedule.
    """
    with address.client() as client, contextlib.suppress(httpx.HTTPError):
        for run in client.post("/flow_runs/filter", json=_NOT_ENDED).raise_for_status().json():
            if worker and run["labels"].get("prefect.worker.name") != worker:
                continue
            state: dict[str, Any] = _CRASHED
            if worker and run["state"]["type"] == "PENDING":
                now = datetime.now(UTC).isoformat()
                state = {"type": "SCHEDULED", "name": "Scheduled", "state_details": {"scheduled_time": now}}
            client.post(f"/flow_runs/{run['id']}/set_state", json={"state": state, "force": True})
