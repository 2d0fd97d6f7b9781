"""Requests to an endpoint that fails in every way: asked again, given up or refused; no key where it may not go."""

import time

import pytest

from tasks.base.errors import PermanentError, TemporaryError, UsageError
from tasks.synthesis.config import RequestsConfig
from tasks.synthesis.endpoint import Address, Endpoint, Reply
from tests.tasks.synthesis.endpoint_server import endpoint

QUICK = RequestsConfig(
    attempts=3, first_pause_seconds=0.01, longest_pause_seconds=0.02, timeout_seconds=0.3, requests_per_second=1000
)
BODY = {"messages": [{"role": "user", "content": "Hello there."}], "seed": 1}


def ask(url: str, config: RequestsConfig = QUICK, key: str = "") -> Reply:
    """The reply to a request."""
    opened = Endpoint(Address(url, key), config)
    try:
        return opened.ask(BODY, "key")
    finally:
        opened.close()


@pytest.mark.parametrize("fault", ["429", "500", "503", "garbage", "half", "nothing", "silence", "no text", "huge"])
def test_what_fails_is_asked_again(fault: str) -> None:
    with endpoint(lambda number, body: "ok" if number == 1 else fault) as server:
        reply = ask(server.url)
    assert (server.asked, reply.failed) == (2, "")
    assert reply.text.startswith("Reply 1 of the model")
    assert (reply.prompt_tokens, reply.completion_tokens) == (20, 10)


@pytest.mark.parametrize("fault", ["429", "500", "nothing", "silence"])
def test_an_endpoint_that_goes_on_failing_is_tried_again_later(fault: str) -> None:
    with endpoint(lambda number, body: fault) as server, pytest.raises(TemporaryError, match="no reply in 3 attempts"):
        ask(server.url)
    assert server.asked == 3


@pytest.mark.parametrize(("fault", "asked"), [("garbage", 3), ("half", 3), ("no text", 3), ("huge", 3), ("400", 1)])
def test_a_request_without_a_reply_is_given_up_so_that_the_rest_goes_on(fault: str, asked: int) -> None:
    with endpoint(lambda number, body: fault) as server:
        assert ask(server.url).failed == ("refused" if fault == "400" else "garbled")
    assert server.asked == asked


@pytest.mark.parametrize("fault", ["401", "402", "404", "quota", "302"])
def test_what_no_try_can_change_ends_the_part(fault: str) -> None:
    with endpoint(lambda number, body: fault) as server, pytest.raises(PermanentError, match="SLUICE_GENERATOR_KEY"):
        ask(server.url)
    assert server.asked == 1


def test_the_server_says_how_long_to_wait() -> None:
    with endpoint(lambda number, body: "ok" if number else "503") as server:
        begun = time.monotonic()
        ask(server.url, QUICK.model_copy(update={"longest_retry_after_seconds": 5.0}))
        waited = time.monotonic() - begun
    assert waited >= 1, "Retry-After: 1"


def test_nothing_at_the_address_is_told() -> None:
    with endpoint() as server:
        url = server.url
    with pytest.raises(TemporaryError, match="no reply in 3 attempts"):
        ask(url)


def test_a_key_goes_to_https_or_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint() as server:
        ask(server.url, key="secret")
    assert server.keys == {"Bearer secret"}
    with pytest.raises(UsageError, match="not https"):
        Address("http://api.example.com/v1", "secret")
    for wrong in (
        *("file:///etc/passwd", "http://[::1", "https://api.example.com:99999", "https://name:word@api.example.com"),
        *("https://api.example.com/v1?api_key=secret", "https://api.example.com/v1#secret", "https://"),
    ):
        with pytest.raises(UsageError, match=r"^SLUICE_GENERATOR_URL is no address such as \S+$"):
            Address(wrong)
    monkeypatch.delenv("SLUICE_GENERATOR_URL", raising=False)
    with pytest.raises(UsageError, match="set SLUICE_GENERATOR_URL"):
        Address.of_environment()
