"""One request to an OpenAI-compatible endpoint: sent, tried again where that can help, and its reply read.

Notable:
- A reply is somebody else's: it is read up to a size, and must be what the interface says. One that is not is asked for
  again, and given up as `garbled` after some attempts, so that the rest goes on.
- All workers of a machine keep the limits together (tasks/sources/rate_limits.py): a 429 makes all of them pause.
- Redirects are not followed, and a key goes over https or to this machine only.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from tasks.base.errors import PermanentError, TemporaryError, UsageError
from tasks.base.messages import first_words
from tasks.sources.rate_limits import RateLimiter
from tasks.sources.retry_after import retry_after
from tasks.sources.transfer import TransferConfig
from tasks.synthesis.config import RequestsConfig

URL_VARIABLE = "SLUICE_GENERATOR_URL"
KEY_VARIABLE = "SLUICE_GENERATOR_KEY"
_MAX_REPLY_BYTES = 8 << 20
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Reply:
    """What came of a request."""

    text: str
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    failed: str = ""
    """`garbled` or `refused`: the text is empty, and another try would not help; "" for a text."""


class _Garbled(Exception):
    """The endpoint answered with something else than the interface says."""


@dataclass(frozen=True)
class Address:
    """Where an endpoint is."""

    url: str
    """Its base, such as https://api.example.com/v1."""
    key: str = ""

    def __post_init__(self) -> None:
        wrong = UsageError(f"{URL_VARIABLE} is no address such as https://api.example.com/v1.")
        try:
            parts = urlsplit(self.url)
            is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError as error:
            raise wrong from error
        # What would stand there besides: names and passwords, and keys in a query, which errors would show.
        if not is_whole or parts.username or parts.password or parts.query or parts.fragment:
            raise wrong
        if self.key and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise UsageError(f"{URL_VARIABLE} is not https: the key in {KEY_VARIABLE} would be readable on the way.")

    @classmethod
    def of_environment(cls) -> Self:
        """Return the address that the environment names; raises UsageError where it names none."""
        if not os.environ.get(URL_VARIABLE):
            raise UsageError(
                f"synthesis needs a generator: set {URL_VARIABLE} (and {KEY_VARIABLE}), or synthesis.generator.export."
            )
        return cls(os.environ[URL_VARIABLE].rstrip("/"), os.environ.get(KEY_VARIABLE, ""))


class Endpoint:
    """An endpoint, asked by several threads at once."""

    def __init__(self, address: Address, config: RequestsConfig) -> None:
        self._address, self._config = address, config
        limits = TransferConfig(
            connections=config.concurrency,
            requests_per_second=config.requests_per_second,
            first_pause_seconds=config.first_pause_seconds,
            longest_pause_seconds=config.longest_pause_seconds,
            longest_retry_after_seconds=config.longest_retry_after_seconds,
        )
        self._limiter = RateLimiter(address.url, limits)
        headers = {"User-Agent": "sluice"} | ({"Authorization": f"Bearer {address.key}"} if address.key else {})
        self._client = httpx.Client(timeout=config.timeout_seconds, headers=headers, follow_redirects=False)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def ask(self, body: Mapping[str, Any], key: str) -> Reply:
        """Return the reply to a chat request; `key` names it, for endpoints that answer the same one once only.

        Raises:
            TemporaryError: there was no reply in `attempts` tries.
            PermanentError: the endpoint takes no request like this one: no such address, key, model or credit.
        """
        said = ""
        garbled = False
        for _ in range(self._config.attempts):
            with self._limiter.connection():
                asked_at = self._limiter.await_turn()
                try:
                    reply = self._try(body, key, asked_at)
                except (httpx.HTTPError, _Garbled) as error:
                    garbled = isinstance(error, _Garbled)
                    said = str(error) or type(error).__name__
                    self._limiter.refused(asked_at)
                    continue
            if isinstance(reply, Reply):
                self._limiter.answered()
                return reply
            garbled, said = False, reply
        if garbled:
            return Reply("", failed="garbled")
        raise TemporaryError(f"{self._address.url}: no reply in {self._config.attempts} attempts ({said}).")

    def _try(self, body: Mapping[str, Any], key: str, asked_at: float) -> Reply | str:
        """Return the reply, or why the endpoint should be asked again."""
        url, headers = f"{self._address.url}/chat/completions", {"Idempotency-Key": key}
        with self._client.stream("POST", url, json=body, headers=headers) as response:
            content = bytearray()
            for data in response.iter_bytes():
                content += data
                if len(content) > _MAX_REPLY_BYTES:
                    raise _Garbled(f"more than {_MAX_REPLY_BYTES >> 20} MiB")
        status = response.status_code
        if status == 200:
            return _read(bytes(content))
        described = f"{status} {response.reason_phrase}: {first_words(bytes(content))}"
        out_of_credit = status == 402 or b"insufficient_quota" in content
        if (status in (408, 409, 425, 429) or status >= 500) and not out_of_credit:
            self._limiter.refused(asked_at, retry_after(response.headers))
            return described
        if status in (400, 413, 422):
            return Reply("", failed="refused")
        raise PermanentError(
            f"{self._address.url} answered {described}. Look at {URL_VARIABLE}, {KEY_VARIABLE} and "
            "synthesis.generator.model; what was answered before is kept."
        )


def _read(content: bytes) -> Reply:
    """Return the reply in a body; raises _Garbled where it is none."""
    try:
        value = json.loads(content)
        choice = value["choices"][0]
        text, reason = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, RecursionError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise _Garbled(f"no reply but {first_words(content)!r}") from error
    if not isinstance(text, str):
        raise _Garbled("a reply without text")
    usage = value.get("usage")
    counts = [usage.get(name) if isinstance(usage, dict) else None for name in ("prompt_tokens", "completion_tokens")]
    prompt, completion = (count if isinstance(count, int) and 0 <= count < 1 << 40 else 0 for count in counts)
    with contextlib.suppress(UnicodeError):
        text.encode()
        return Reply(text, str(reason or "stop")[:40], prompt, completion)
    raise _Garbled("a text with half a character")
