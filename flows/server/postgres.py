"""PostgreSQL for the server's database, in a folder of its own, reached through a Unix socket only.

Notable: PostgreSQL refuses to run as root, as in a container. There it runs as the user that its package makes.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from flows.engine.launcher import SupervisedProgram, supervised
from flows.server.loopback_server import last_lines
from tasks.base.errors import PermanentError

_USER = "postgres"
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0


@contextlib.contextmanager
def running_postgres(folder: Path) -> Iterator[tuple[SupervisedProgram, str]]:
    """Run PostgreSQL with its data in `folder` during the block; yield it with its database's SQLAlchemy URL.

    Raises PermanentError where it is not installed or does not start.
    """
    programs = postgres_programs()
    if programs is None:
        raise PermanentError("PostgreSQL is not installed: apt-get install postgresql (or your system's package).")
    # Beside the data its path may be longer than the 107 bytes of a socket's name.
    with tempfile.TemporaryDirectory(prefix="sluice-postgres-") as sockets:
        for place in (folder, Path(sockets)):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.geteuid() == 0:
                shutil.chown(place, _USER, _USER)
        if not (folder / "PG_VERSION").exists():
            _initialise(programs, folder)
        command = [str(programs / "postgres"), "-D", str(folder), "-k", sockets, "-c", "listen_addresses="]
        with supervised([*_as_its_user(), *command], _STOP_SECONDS) as program:
            said = last_lines(program)
            if not _becomes_ready(programs, sockets, program):
                raise PermanentError(f"PostgreSQL with its data in {folder} did not start:\n" + said())
            yield program, f"postgresql+asyncpg://{_USER}@/{_USER}?host={sockets}"


def postgres_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, the newest version's; None where it is not installed."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")  # Debian keeps them from the path
    return max((path.parent for path in versions), key=lambda path: int(path.parent.name), default=None)


def _initialise(programs: Path, folder: Path) -> None:
    command = [
        str(programs / "initdb"),
        "-D",
        str(folder),
        "-U",
        _USER,
        "--auth=trust",
        "--encoding=UTF8",
        "--no-locale",
    ]
    done = subprocess.run([*_as_its_user(), *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermanentError(f"PostgreSQL could not set up {folder}:\n{done.stdout}{done.stderr}")


def _as_its_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    # A process that changes its user loses its parent-death signal, by which it ends with its supervisor.
    return ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--init-groups", "--pdeathsig=keep"]


def _becomes_ready(programs: Path, sockets: str, program: SupervisedProgram) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    asking = [str(programs / "pg_isready"), "--quiet", "-h", sockets, "-U", _USER]
    while program.is_running() and time.monotonic() < deadline:
        if subprocess.run(asking, check=False).returncode == 0:
            return True
        time.sleep(0.2)
    return False
