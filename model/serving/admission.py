"""Who may come in: how many requests are open at once, and what those beyond are told."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from model.serving.openai_api.errors import ApiError, shutting_down
from model.serving.settings import ServerSettings

_RETRY_SECONDS = 2


class Admission:
    """Counts open requests, of all and of each client; used on the event loop only."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._open: Counter[str] = Counter()
        self._closed = False

    @property
    def open(self) -> int:
        """How many requests are being answered or wait."""
        return self._open.total()

    def close(self) -> None:
        """Let nobody in any more."""
        self._closed = True

    @contextmanager
    def enter(self, client: str) -> Iterator[None]:
        """Count a request as open while the block runs.

        Raises ApiError: 503 where the server is full or ends, 429 where the client alone has too many open.
        """
        if self._closed:
            raise shutting_down()
        if self.open >= self._settings.max_open:
            message = f"The server is busy: it answers at most {self._settings.max_open} requests at once."
            raise ApiError(503, message, code="overloaded", retry_after=_RETRY_SECONDS)
        if self._open[client] >= self._settings.max_open_per_client:
            most = self._settings.max_open_per_client
            message = f"You have {most} requests open, and more are not taken; wait for one to end."
            raise ApiError(429, message, code="rate_limit_exceeded", retry_after=_RETRY_SECONDS)
        self._open[client] += 1
        try:
            yield
        finally:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]  # clients come and go for as long as the server runs
