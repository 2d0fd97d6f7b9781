"""What a run says of the one before it, whose process is gone."""

import logging
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.engine.open_run import _mark_killed
from flows.store.run_record import is_called_running
from tasks.dataset.leases import Holder
from tasks.dataset.store import Store
from tasks.workers.process_name import this_process
from tests.flows.run_records import a_record
from tests.flows.running_programs import free_port

LOGGER = logging.getLogger(__name__)


def test_a_killed_run_stays_to_be_told_to_a_prefect_server_that_does_not_answer(
    prefect_server: str, tmp_path: Path
) -> None:
    """Prefect would call it running for ever if only its record were marked, and no later run looked at it again."""
    store, record = Store(str(tmp_path)), a_record()
    store.write_bytes(f"runs/{record.run}.json", record.model_dump_json().encode())
    killed = Holder(run=record.run, process=this_process(), flow_run=str(uuid4()))
    away = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}
    with temporary_settings(away), pytest.raises((httpx.TransportError, RuntimeError)):
        _mark_killed(store, LOGGER, killed)
    assert is_called_running(store, record.run)
    with temporary_settings({PREFECT_API_URL: prefect_server}):
        _mark_killed(store, LOGGER, killed)
    assert not is_called_running(store, record.run)
