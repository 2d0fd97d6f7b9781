"""A Prefect server for the length of a run, where none is configured.

Notable:
- Prefect's own ephemeral server loses most task runs. This one is a real server on a free loopback port,
  with its database kept from run to run, and it is stopped only when it has recorded all that the run reported.
- It has a session of its own: Ctrl-C reaches the flow and not the server.
- The services that matter only to a permanent server (schedules, late runs, triggers) are off, which halves the first
  start. Its password is new for each run.
- Where it is killed it is started again on its port, and the run goes on: Prefect's clients try again for a minute.
  Where it does not start any more, the run goes on without it.
- Two runs at the same time have a server and a database each. The process that holds a database's lock is its only
  user, so runs that it still calls running were killed, and are marked as crashed.
"""

import contextlib
import fcntl
import itertools
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from flows.display.console import TERMINAL_LOGGER
from flows.engine.launcher import SupervisedProgram
from flows.server.absent_server import absent_server
from flows.server.loopback_server import HOST, ServerAddress, loopback_server
from flows.server.lost_runs import mark_lost_runs
from tasks.base.errors import PermanentError

_STOP_SECONDS = 10.0
_SETTLE_SECONDS = 60.0
_QUIET_SECONDS = 1.3
_POLL_SECONDS = 0.05
_WATCH_SECONDS = 0.5
_COMES_BACK_SECONDS = 60.0
"""For so long a server that has ended is started again, should it not start; about as long as a client tries."""
_PORT_TRIES = 3
_IDLE_SERVICES = (
    "CANCELLATION_CLEANUP",
    "CLEANUP_RECONCILER",
    "EVENT_LOGGER",
    "FOREMAN",
    "LATE_RUNS",
    "PAUSE_EXPIRATIONS",
    "REPOSSESSOR",
    "SCHEDULER",
    "TRIGGERS",
)


@contextlib.contextmanager
def prefect_api(data_dir: str | Path) -> Iterator[ServerAddress]:
    """Use the configured Prefect server, or one of our own with its database under `data_dir`, during the block.

    Within the block, flows of this process and of the processes it starts report to that server. Raises PermanentError
    with the server's last lines if it does not start.
    """
    from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL

    if configured := PREFECT_API_URL.value():
        yield ServerAddress(configured, PREFECT_UI_URL.value() or configured.removesuffix("/api"))
        return
    with _own_folder(Path(data_dir).expanduser()) as folder, _server(folder) as address, _reporting_to(address):
        mark_lost_runs(address)
        try:
            yield address
        finally:
            _wait_until_recorded(address)


@contextlib.contextmanager
def _own_folder(data_dir: Path) -> Iterator[Path]:
    """Lock and return the first folder under `data_dir` that no other run uses; only this user can enter it."""
    for number in itertools.count():
        folder = data_dir / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        with (folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield folder
            return


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[ServerAddress]:
    with contextlib.ExitStack() as stack:
        for tries_left in reversed(range(_PORT_TRIES)):
            with socket.create_server((HOST, 0)) as probe:
                port = probe.getsockname()[1]
            address = ServerAddress.on_loopback(port, f"sluice:{secrets.token_urlsafe(24)}")
            database = f"sqlite+aiosqlite:///{folder.resolve()}/prefect.db"
            try:
                start = partial(loopback_server, folder, address, database, _settings())
                stack.enter_context(_started_again(start, partial(absent_server, port)))
            except PermanentError as error:
                # Between the search for a free port and its use, another program may have taken it.
                if not tries_left or "address already in use" not in str(error):
                    raise
            else:
                yield address
                return


@contextlib.contextmanager
def _started_again(
    start: Callable[[], AbstractContextManager[SupervisedProgram]], instead: Callable[[], AbstractContextManager[None]]
) -> Iterator[None]:
    """Have a program run during the block, started again where it ends; `instead` of it where it does not start."""
    over = threading.Event()

    def watch(running: SupervisedProgram) -> None:
        with contextlib.ExitStack() as later:
            ended: float | None = None
            while not over.wait(_WATCH_SECONDS):
                if running.is_running():
                    ended = None
                    continue
                ended = ended or time.monotonic()
                later.close()
                try:
                    running = later.enter_context(start())
                except PermanentError as error:  # the next try may find room on the disk
                    if time.monotonic() - ended > _COMES_BACK_SECONDS:
                        logging.getLogger(TERMINAL_LOGGER).warning("%s\nThe run goes on without it.", error)
                        later.enter_context(instead())
                        over.wait()

    with start() as first:
        watcher = threading.Thread(target=watch, args=[first], name="prefect-server")
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()


def _settings() -> dict[str, str]:
    return {
        # Events are wanted soon after they happen, since the server ends with the run; and task runs, which arrive as
        # events, are recorded three times as fast in batches as one by one.
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "25",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        **{f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in _IDLE_SERVICES},
    }


@contextlib.contextmanager
def _reporting_to(address: ServerAddress) -> Iterator[None]:
    """Point this process, and those it starts, at the server, with its password."""
    from prefect.settings import (
        PREFECT_API_AUTH_STRING,
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        temporary_settings,
    )

    told = {PREFECT_API_URL: address.api_url, PREFECT_API_AUTH_STRING: address.password}
    before = {setting.name: os.environ.get(setting.name) for setting in told}
    os.environ.update({setting.name: value for setting, value in told.items() if value})
    try:
        # Lost heartbeats are not looked for here, and joining their thread would cost each flow run a second.
        with temporary_settings({**told, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _wait_until_recorded(address: ServerAddress) -> None:
    """Wait until the server has recorded the run: task runs arrive as events, and queue up."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    with contextlib.suppress(Exception):  # what cannot be reported must not fail a run that is over
        APILogWorker.drain_all(timeout=_STOP_SECONDS, at_exit=False)
        EventsWorker.drain_all(timeout=_STOP_SECONDS, at_exit=False)
    ended = {"task_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]}}}}
    deadline = time.monotonic() + _SETTLE_SECONDS
    known: Any = None
    since = time.monotonic()
    with address.client() as client, contextlib.suppress(httpx.HTTPError):
        while (now := time.monotonic()) < deadline and now - since < _QUIET_SECONDS:
            counts = [client.post("/task_runs/count", json=body).json() for body in ({}, ended)]
            if counts != known:
                known, since = counts, time.monotonic()
            time.sleep(_POLL_SECONDS * 2)
