"""PostgreSQL beside the Prefect server: it ends with what started it."""

import tempfile
from pathlib import Path

import psutil
import pytest

from flows.server.postgres import postgres_programs, running_postgres

pytestmark = pytest.mark.skipif(
    postgres_programs() is None, reason="PostgreSQL is not installed: apt-get install postgresql"
)


def test_it_ends_with_its_supervisor_also_where_that_is_killed() -> None:
    with tempfile.TemporaryDirectory(prefix="sluice-postgres-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL's user passes through
        with running_postgres(Path(folder) / "data"):
            lock = Path(folder) / "data" / "postmaster.pid"
            postgres = psutil.Process(int(lock.read_text().split()[0]))
            supervisor = postgres.parent()
            assert supervisor
            supervisor.kill()
            postgres.wait(timeout=20)
