"""A Prefect server of our own on loopback: for one run (`prefect_server`), or to deploy to (`flows.server`).

Notable: it sends nothing anywhere, and answers only those who know its password, since other users and web pages reach
loopback too. It runs under `flows.engine.launcher.supervised`, so it never outlives the process that started it.
"""

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from flows.engine.launcher import SupervisedProgram, supervised
from tasks.base.errors import PermanentError

HOST = "127.0.0.1"
_START_SECONDS = 180.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.05
_LAST_LINES = 8
_LISTEN_SECONDS = 1.0


@dataclass(frozen=True)
class ServerAddress:
    """Where a Prefect server is."""

    api_url: str
    ui_url: str
    password: str | None = None
    """For its API and its UI, as `user:password`, where it was started here."""

    @property
    def is_ours(self) -> bool:
        """Whether it was started here."""
        return self.password is not None

    @classmethod
    def on_loopback(cls, port: int, password: str) -> "ServerAddress":
        """Return the address of a server of our own."""
        return cls(f"http://{HOST}:{port}/api", f"http://{HOST}:{port}", password)

    def environment(self) -> dict[str, str]:
        """Return the variables that point Prefect's clients at the server."""
        password = {"PREFECT_API_AUTH_STRING": self.password} if self.password else {}
        return {"PREFECT_API_URL": self.api_url, **password}

    def client(self) -> httpx.Client:
        """Return a client of its API, for a block.

        It asks again what the server is too busy to answer: SQLite's lock is a 503. It raises HTTPStatusError for any
        other answer that is an error.
        """
        from prefect.client.base import PrefectHttpxSyncClient

        user, _, password = (self.password or "").partition(":")
        return PrefectHttpxSyncClient(base_url=self.api_url, auth=(user, password), trust_env=False, timeout=30)


@contextlib.contextmanager
def loopback_server(
    folder: Path, address: ServerAddress, database: str, settings: Mapping[str, str]
) -> Iterator[SupervisedProgram]:
    """Run a server at `address` during the block, its home in `folder`, its database at a SQLAlchemy URL.

    `settings` are further variables of its environment. Raises PermanentError with its last lines if it does not start.
    """
    environment = {**_environment(folder, address, database), **settings}
    with supervised(_command(folder, address), _STOP_SECONDS, environment) as program:
        said = last_lines(program)
        if not _becomes_healthy(address, program):
            raise PermanentError(
                f"The Prefect server with its data in {folder} did not start. Move that folder away, or set"
                " PREFECT_API_URL to a server of your own. It said:\n" + said()
            )
        yield program


def last_lines(program: SupervisedProgram) -> Callable[[], str]:
    """Return what gives the program's last lines, which a thread collects while it runs."""
    said: deque[str] = deque(maxlen=_LAST_LINES)

    def listen() -> None:
        # The pipe is closed under this thread when the program is stopped.
        with contextlib.suppress(OSError, ValueError):
            # The frames of a traceback, which are indented, say nothing to a person.
            said.extend(line for line in program.lines() if line.strip() and line[0] != " ")

    listener = threading.Thread(target=listen, name="program-output", daemon=True)
    listener.start()

    def words() -> str:
        listener.join(_LISTEN_SECONDS)  # the last of them may still be in the pipe
        return "\n".join(said) or "nothing"

    return words


def _command(folder: Path, address: ServerAddress) -> list[str]:
    uvicorn = ["-m", "uvicorn", "--factory", "flows.server.loopback_app:create_app", "--log-level", "error"]
    port = ["--host", HOST, "--port", str(urlsplit(address.api_url).port)]
    # uvicorn would put the current folder on the path, whatever the environment says.
    rest = ["--lifespan", "on", "--timeout-graceful-shutdown", "2", "--app-dir", str(folder)]
    return [sys.executable, *uvicorn, *port, *rest]


def _environment(folder: Path, address: ServerAddress, database: str) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(urlsplit(address.api_url).port),
        "PREFECT_SERVER_API_AUTH_STRING": address.password or "",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": address.ui_url,
        "PREFECT_UI_API_URL": address.api_url,
        "PREFECT_UI_URL": address.ui_url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # A run silences its own Prefect, and the server would inherit that: why it does not start is said in its log.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
        "PREFECT_INTERNAL_LOGGING_LEVEL": "ERROR",
    }


def _becomes_healthy(address: ServerAddress, program: SupervisedProgram) -> bool:
    import prefect  # noqa: F401 - it will be needed in any case, and takes a second that the server needs too

    deadline = time.monotonic() + _START_SECONDS
    with httpx.Client(base_url=address.api_url, trust_env=False, timeout=5) as client:
        while program.is_running() and time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if client.get("/health").status_code == 200:
                    return True
            time.sleep(_POLL_SECONDS)
    return False
