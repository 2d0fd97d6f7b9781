"""`python -m flows.server FOLDER`: a Prefect server on PostgreSQL and a worker, until Ctrl-C.

Notable:
- All that they keep lies in the folder: the database, the password, and `environment`, which points a shell or another
  worker at the server. The password is made at the first start.
- The worker gets a work pool called `sluice`, as prefect.yaml names it.
- After a kill or a power cut the places that runs had taken are given back: those of this worker at the start, those of
  other machines' workers when their leases expire, which are kept on disk for that.
"""

import argparse
import contextlib
import secrets
import shlex
import signal
import sys
import threading
import time
from pathlib import Path

from flows.engine.launcher import SupervisedProgram, supervised
from flows.server.loopback_server import ServerAddress, loopback_server
from flows.server.lost_runs import mark_lost_runs
from flows.server.postgres import running_postgres
from tasks.base.errors import SluiceError

_POOL = "sluice"
_WORKER = "make-server"
"""Its name, by which its runs are found again."""
_WORKER_OPTIONS = ("--name", _WORKER, "--pool", _POOL, "--type", "process")
_WORKER_STOP_SECONDS = 30.0
_SETTINGS = {"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem"}


def main() -> None:
    """Start all three, say where they are, and wait for Ctrl-C or for the end of one of them."""
    parser = argparse.ArgumentParser(prog="python -m flows.server", description=__doc__)
    parser.add_argument("folder", type=Path, help="where database and password lie")
    parser.add_argument("--port", type=int, default=4200, help="on 127.0.0.1")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        serve(given.folder.resolve(), given.port)
    except KeyboardInterrupt:
        print("Stopped. The database is kept; `make server` goes on with it.")
    except SluiceError as error:
        sys.exit(str(error))


def serve(folder: Path, port: int) -> None:
    """Run PostgreSQL, the server and a worker with their data in `folder`; returns when one of them ends."""
    folder.mkdir(parents=True, exist_ok=True)
    address = ServerAddress.on_loopback(port, _password(folder))
    with contextlib.ExitStack() as stack:
        postgres, database = stack.enter_context(running_postgres(folder / "postgres"))
        server = stack.enter_context(loopback_server(folder / "prefect", address, database, _SETTINGS))
        mark_lost_runs(address, _WORKER)
        environment = address.environment()
        _write_private(
            folder / "environment",
            "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()),
        )
        worker = stack.enter_context(
            supervised(
                [sys.executable, "-m", "prefect", "worker", "start", *_WORKER_OPTIONS],
                _WORKER_STOP_SECONDS,
                environment,
            )
        )
        threading.Thread(target=_show, args=[worker], daemon=True).start()
        print(f"Prefect UI: {address.ui_url} (password: {address.password})")
        print(f"In another shell: . {shlex.quote(str(folder / 'environment'))}", flush=True)
        programs = {"PostgreSQL": postgres, "The server": server, "The worker": worker}
        while all(program.is_running() for program in programs.values()):
            time.sleep(0.5)
        ended = [name for name, program in programs.items() if not program.is_running()]
        raise SluiceError(f"{' and '.join(ended)} ended; all are stopped.")


def _password(folder: Path) -> str:
    file = folder / "password"
    if not file.exists():
        _write_private(file, f"{_POOL}:{secrets.token_urlsafe(24)}")
    return file.read_text()


def _write_private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(text)


def _show(program: SupervisedProgram) -> None:
    with contextlib.suppress(OSError, ValueError):  # closed under this thread when the program is stopped
        for line in program.lines():
            print(line, flush=True)


if __name__ == "__main__":
    main()
