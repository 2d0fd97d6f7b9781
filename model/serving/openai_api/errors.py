"""Errors as OpenAI's clients expect them, with nothing in them of the machine that they happened on."""

from typing import Any

from model.base.safe_text import harmless

_LONGEST_MESSAGE = 600


class ApiError(Exception):
    """A request that is not answered: an HTTP status, and what was wrong in a person's words."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.retry_after = status, code, param, retry_after

    @property
    def headers(self) -> dict[str, str]:
        """What the answer's head says beside the status: when to try again, or how to say who asks."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})

    @property
    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        kind = "server_error" if self.status >= 500 else _KINDS.get(self.status, "invalid_request_error")
        # A message may quote the request, in which anything may stand.
        message = harmless(str(self))[:_LONGEST_MESSAGE]
        return {"error": {"message": message, "type": kind, "param": self.param, "code": self.code}}


_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def bad_request(message: str, param: str | None = None, code: str = "invalid_value") -> ApiError:
    """Return the error of a request that can never be answered."""
    return ApiError(400, message, code=code, param=param)


def failed() -> ApiError:
    """Return the error of a fault of ours; what it was stands in the server's log."""
    return ApiError(500, "The server failed to answer; its log says why.", code="internal_error")


def shutting_down() -> ApiError:
    """Return the error of a request that the server's end cut off or came too late for."""
    return ApiError(503, "The server is shutting down.", code="shutting_down", retry_after=5)
