"""Runs that a server still calls running, though the processes that carried them out are gone.

Notable: such a run holds its deployment's only place for ever, so nothing of the deployment would run again. It must be
marked by whoever knows that its process is gone: the one who holds the lock of the server's folder.
"""

import contextlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from flows.display.console import TERMINAL_LOGGER
from flows.server.loopback_server import ServerAddress

_NOT_ENDED = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}, "sort": "ID_DESC"}
_CRASHED = {"type": "CRASHED", "name": "Crashed", "message": "The process that ran it was killed."}
_PAGE = 200


def mark_lost_runs(address: ServerAddress, worker: str | None = None) -> None:
    """Mark runs as crashed that nothing carries out any more; only those of the Prefect worker of that name, if given.

    Those that the worker had not started yet are scheduled again: it may be a month until the next of their schedule.
    """
    try:
        with address.client() as client:
            for run in _not_ended(client):
                if worker is None or run["labels"].get("prefect.worker.name") == worker:
                    _mark(client, run, is_scheduled_again=worker is not None and run["state"]["type"] == "PENDING")
    except httpx.HTTPError as error:
        logging.getLogger(TERMINAL_LOGGER).warning(
            "The Prefect server did not say which runs were killed (%s); one that it still calls running keeps its"
            " deployment's place until it is cancelled in the UI.",
            error,
        )


def _mark(client: httpx.Client, run: Mapping[str, Any], is_scheduled_again: bool) -> None:
    state: dict[str, Any] = _CRASHED
    if is_scheduled_again:
        now = datetime.now(UTC).isoformat()
        state = {"type": "SCHEDULED", "name": "Scheduled", "state_details": {"scheduled_time": now}}
    with contextlib.suppress(httpx.HTTPStatusError):  # it may have been deleted meanwhile
        client.post(f"/flow_runs/{run['id']}/set_state", json={"state": state, "force": True})


def _not_ended(client: httpx.Client) -> list[dict[str, Any]]:
    """All runs that the server says are under way, however many pages of its answer they fill."""
    runs: list[dict[str, Any]] = []
    while page := client.post("/flow_runs/filter", json={**_NOT_ENDED, "offset": len(runs), "limit": _PAGE}).json():
        runs += page
    return runs
