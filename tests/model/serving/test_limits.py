"""Who may come in, and what those beyond the limits are told."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from model.base.errors import BadInput
from model.serving.settings import ServerSettings
from tests.model.serving.running_server import Running, running, slowed

KEY = "sesame-\N{GREEK SMALL LETTER ALPHA}"


def asked(**more: Any) -> dict[str, Any]:
    """A request that goes on for a while."""
    return {"model": "sluice", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 400, **more}


@pytest.fixture(scope="module")
def narrow(babbling: Path) -> Iterator[Running]:
    """A server with low limits and a key."""
    settings = ServerSettings(
        port=0,
        api_key=KEY,
        allowed_hosts=("chat.example",),
        allowed_origins=("https://friend.example",),
        max_body_bytes=4000,
        body_seconds=0.5,
        max_open=4,
        max_open_per_client=2,
        max_choices=4,
        queue_seconds=60,
        answer_seconds=60,
    )
    with running(babbling, settings, slots=1) as one:
        yield one


@pytest.fixture
def keyed(narrow: Running) -> Iterator[httpx.Client]:
    """A client that has the key."""
    head = {b"Authorization": f"Bearer {KEY}".encode()}
    with httpx.Client(base_url=narrow.address, headers=head, timeout=30) as one:
        yield one


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """The message of an error in OpenAI's shape."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"} and error["code"] == code, error
    return str(error["message"])


def test_a_key_is_needed_but_for_the_page_and_the_health(narrow: Running, keyed: httpx.Client) -> None:
    for key in (None, "Bearer", "Bearer sesame", f"Basic {KEY}", f"Bearer {KEY}x"):
        head = {} if key is None else {b"Authorization": key.encode()}
        for path in ("/v1/models", "/metrics", "/settings", "/nothing"):
            answer = httpx.get(narrow.address + path, headers=head)
            refused(answer, 401, "invalid_api_key")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert httpx.get(f"{narrow.address}/health").json() == {"status": "ok"}
    assert httpx.get(narrow.address).status_code == 200
    assert keyed.get("/v1/models").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "chat.example.", "", "["]
)
def test_a_name_that_the_server_has_not_is_refused(server: Running, host: str) -> None:
    refused(httpx.get(f"{server.address}/v1/models", headers={"Host": host}), 403, "wrong_host")


@pytest.mark.parametrize(
    "host", ["localhost:8080", "127.0.0.1", "[::1]:80", "192.168.0.7", "chat.example:443", "LOCALHOST"]
)
def test_its_own_names_are_not(keyed: httpx.Client, host: str) -> None:
    assert keyed.get("/v1/models", headers={"Host": host}).status_code == 200


def test_pages_of_other_origins_are_refused(keyed: httpx.Client, narrow: Running) -> None:
    for head in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": narrow.address + "0"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        refused(keyed.get("/v1/models", headers=head), 403, "wrong_origin")
    for origin in (narrow.address, "https://friend.example"):
        assert keyed.get("/v1/models", headers={"Origin": origin}).status_code == 200
    preflight = {"Origin": "https://friend.example", "Access-Control-Request-Method": "POST"}
    answer = httpx.options(f"{narrow.address}/v1/chat/completions", headers=preflight)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://friend.example"
    answer = httpx.options(
        f"{narrow.address}/v1/chat/completions", headers=preflight | {"Origin": "https://no.example"}
    )
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_body_has_a_largest_size_however_it_comes(keyed: httpx.Client) -> None:
    large = json.dumps(asked(user="x" * 5000)).encode()
    head = {"Content-Type": "application/json"}
    refused(keyed.post("/v1/chat/completions", content=large, headers=head), 413, "request_too_large")
    pieces = (large[at : at + 100] for at in range(0, len(large), 100))
    refused(keyed.post("/v1/chat/completions", content=pieces, headers=head), 413, "request_too_large")


def test_a_body_that_does_not_come_is_not_waited_for(narrow: Running) -> None:
    host, port = narrow.address.removeprefix("http://").split(":")
    lines = ("POST /v1/completions HTTP/1.1", "Host: localhost", "Content-Length: 9", f"Authorization: Bearer {KEY}")
    head = "\r\n".join((*lines, "", ""))
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head.encode() + b"{")
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")


async def statuses(address: str, requests: list[dict[str, Any]]) -> list[tuple[int, str | None]]:
    """The statuses of requests that are sent together, with when to try again."""
    head = {b"Authorization": f"Bearer {KEY}".encode()}
    async with httpx.AsyncClient(base_url=address, headers=head, timeout=60) as client:
        answers = await asyncio.gather(*(client.post("/v1/chat/completions", json=one) for one in requests))
    return [(answer.status_code, answer.headers.get("Retry-After")) for answer in answers]


def test_a_client_with_too_many_requests_gets_429(narrow: Running) -> None:
    with slowed(narrow):
        found = asyncio.run(statuses(narrow.address, [asked(max_tokens=40)] * 5))
    assert sorted(found) == [(200, None)] * 2 + [(429, "2")] * 3


@pytest.mark.parametrize(
    ("field", "value"),
    [("port", 65536), ("port", -1), ("max_open", 0), ("answer_seconds", float("nan")), ("queue_seconds", -1.0)],
)
def test_a_setting_that_makes_no_sense_is_refused(field: str, value: Any) -> None:
    with pytest.raises(BadInput, match=f"{field}|a port"):
        ServerSettings(**{field: value})


def test_a_full_server_gives_503(babbling: Path) -> None:
    settings = ServerSettings(port=0, max_open=2, max_open_per_client=9)
    with running(babbling, settings) as server, slowed(server):
        found = asyncio.run(statuses(server.address, [asked(max_tokens=40)] * 5))
    assert sorted(found) == [(200, None)] * 2 + [(503, "2")] * 3


def test_who_waits_for_too_long_gets_503(babbling: Path) -> None:
    """With one slot, and answers in it that take longer than the queue is."""
    with running(babbling, ServerSettings(port=0, queue_seconds=0.3), slots=1) as server, slowed(server):
        found = asyncio.run(statuses(server.address, [asked(max_tokens=100)] * 3))
    assert sorted(found) == [(200, None), (503, "5"), (503, "5")]


def test_an_answer_that_takes_too_long_is_ended(babbling: Path) -> None:
    with running(babbling, ServerSettings(port=0, answer_seconds=0.002)) as server:
        url = f"{server.address}/v1/chat/completions"
        refused(httpx.post(url, json=asked()), 504, "timeout")
        lines = httpx.post(url, json=asked(stream=True)).text.split("\n\n")
        assert json.loads(lines[-3].removeprefix("data: "))["error"]["code"] == "timeout"
        assert lines[-2:] == ["data: [DONE]", ""]
        assert until_idle(server)


def until_idle(server: Running) -> bool:
    """Wait until the engine has nothing to do; False if that takes too long."""
    engine: Any = server.service.engine._engine
    end = time.monotonic() + 10
    while (engine.has_work or server.service.admission.open) and time.monotonic() < end:
        time.sleep(0.01)
    return not engine.has_work and not server.service.admission.open


@pytest.mark.parametrize("stream", [False, True])
def test_who_goes_away_takes_the_request_out_of_the_engine(server: Running, stream: bool) -> None:
    made = server.service.metrics.generated_tokens
    before = made._value.get()
    with slowed(server), httpx.Client(base_url=server.address) as client, pytest.raises(httpx.ReadTimeout):
        if stream:
            with client.stream("POST", "/v1/chat/completions", json=asked(stream=True, n=4)) as answer:
                next(answer.iter_raw())
                raise httpx.ReadTimeout("enough")
        client.post("/v1/chat/completions", json=asked(n=16), timeout=0.1)
    assert until_idle(server)
    assert made._value.get() - before < 1600, "the answers did not run to their ends"


def test_answers_per_request_are_limited(keyed: httpx.Client) -> None:
    message = refused(keyed.post("/v1/chat/completions", json=asked(n=5)), 400, "invalid_value")
    assert "At most 4 answers" in message


def test_what_is_counted_can_be_collected(server: Running, http: httpx.Client) -> None:
    http.post("/v1/chat/completions", json=asked(max_tokens=3))
    http.get("/any/path/at/all")
    text = http.get("/metrics").text
    assert 'sluice_answers_total{path="/v1/chat/completions",status="200"}' in text
    assert 'sluice_answers_total{path="other",status="404"}' in text
    for name in ("prompt_tokens_total", "generated_tokens_total", "first_token_seconds_count", "open_requests"):
        assert f"\nsluice_{name} " in text


def test_a_head_that_does_not_end_is_not_waited_for(babbling: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.serving.server._IDLE_SECONDS", 1)
    with running(babbling, ServerSettings(port=0)) as server:
        place = httpx.URL(server.address)
        for before in (b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            with socket.create_connection((place.host, place.port or 0), timeout=30) as slow:
                slow.sendall(before + b"GET / HTTP/1.1\r\nX-Slow: ")
                began = time.monotonic()
                with contextlib.suppress(OSError):  # once it is closed
                    while time.monotonic() < began + 20 and not _closed(slow):
                        slow.sendall(b"x")
                        time.sleep(0.1)
                assert time.monotonic() < began + 15


def _closed(connection: socket.socket) -> bool:
    """Read what is there; whether the other side has closed."""
    connection.settimeout(0.01)
    try:
        return not connection.recv(1 << 16)
    except TimeoutError:
        return False
