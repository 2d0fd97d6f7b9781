"""Requests that are malformed or mean harm: each answer is 4xx and tells nothing of the machine."""

import json
import random
import re
import socket
from typing import Any

import httpx
import pytest

from tests.conftest import ROOT
from tests.model.serving.running_server import Running

CHAT, TEXT, SOURCES = "/v1/chat/completions", "/v1/completions", "/sources"
GOOD: dict[str, Any] = {"model": "sluice", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
GOOD_TEXT: dict[str, Any] = {"model": "sluice", "prompt": "hi", "max_tokens": 2}
ODD: list[Any] = [None, -1, 1e999, "x", [], {}, [[]], True, "\x1b[2J", "\ud800", {"a": {"b": []}}, 10**400, "9" * 400]
TRACES = re.compile(
    r"Traceback|File \"|\.py\b|site-packages|/usr|/home|/tmp|/root|pydantic|starlette|fastapi|torch|0x[0-9a-f]{6}"
)


def wrong_values() -> list[tuple[str, Any]]:
    """Good requests with one value that is not."""
    fields: dict[str, list[Any]] = {
        "model": [None, 1, [], "gpt-9"],
        "messages": [*ODD, "hi", [{}], [{"role": "king", "content": "x"}]],
        "temperature": [-0.1, 2.5, "hot", [], float("nan"), float("inf"), True],
        "top_p": [0, 1.1, "x", -1, float("nan")],
        "top_k": [-1, 1.5, "x", 10**30],
        "min_p": [-1, 2, "x"],
        "repetition_penalty": [0, -1, "x", 11],
        "num_beams": [0, -1, 1.5, "4", 10**30],
        "length_penalty": ["x", 1e30, None],
        "max_tokens": [0, -5, 1.5, "many", 10**30],
        "max_completion_tokens": [0, "x"],
        "n": [0, -1, 129, 17, "x"],
        "seed": [-1, 2**64, "x", 1.5],
        "stop": ["", [""], ["x"] * 17, 5, ["x" * 300], [[]], {}],
        "stream": ["yes", 1, []],
        "stream_options": ["x", {"other": 1}, []],
        "logprobs": ["x", 5],
        "top_logprobs": [3, -1, 21, "x"],
        "tools": ["x", [{}], [{"type": "function", "function": {"name": "bad name"}}], [{"type": "code"}]],
        "tool_choice": ["required", "x", {"type": "function", "function": {"name": "f"}}],
        "frequency_penalty": [1, "x"],
        "presence_penalty": [-1, []],
        "logit_bias": [{"5": 100}, "x"],
        "response_format": [{"type": "json_object"}, "x"],
        "truncation": ["middle", 1],
        "temprature": [1],
        "__class__": ["x"],
    }
    both = ("model", "temperature", "top_p", "max_tokens", "n", "seed", "stop", "stream", "temprature")
    asked = [(CHAT, GOOD | {name: value}) for name, values in fields.items() for value in values]
    return asked + [(TEXT, GOOD_TEXT | {name: value}) for name in both for value in fields[name]]


def wrong_messages() -> list[tuple[str, Any]]:
    """Conversations that are none."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "not JSON"}}
    contents: list[Any] = [
        {"role": "user", "content": None},
        {"role": "user", "content": 5},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]},
        {"role": "user"},
        {"role": "user", "content": [{"type": "text", "text": 5}]},
        {"role": "user", "content": "x", "tool_calls": [call]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "assistant", "content": None},
        {"role": "tool", "content": "no tokens for tools"},
        {"content": "x"},
        "hi",
        None,
    ]
    return [(CHAT, GOOD | {"messages": [message]}) for message in contents] + [
        (CHAT, GOOD | {"messages": [GOOD["messages"][0]] * 5000}),
        (CHAT, GOOD | {"messages": [{"role": "user", "content": "wordy " * 20_000}]}),
        (CHAT, GOOD | {"messages": [{"role": "user", "content": "wordy " * 20_000}], "truncation": "auto"}),
    ]


def wrong_prompts() -> list[tuple[str, Any]]:
    """Prompts that cannot be continued."""
    prompts = [*ODD[:3], *ODD[4:8], [-1], [400], [10**12], [1.5], [["x"]], [5, "x"], ["x"] * 17, "wordy " * 20_000]
    named: list[dict[str, Any]] = [
        {"echo": True},
        {"suffix": "x"},
        {"best_of": 3},
        {"logprobs": 21},
        {"logprobs": True},
        {"messages": []},
    ]
    return [(TEXT, GOOD_TEXT | {"prompt": prompt}) for prompt in prompts] + [(TEXT, GOOD_TEXT | more) for more in named]


def wrong_bodies() -> list[tuple[str, bytes]]:
    """Bodies that hold no request."""
    draw = random.Random(5)
    whole = json.dumps(GOOD).encode()
    broken = [whole[: draw.randrange(1, len(whole))] for _ in range(12)]
    flipped = [bytes(byte ^ (draw.random() < 0.1) * 0x80 for byte in whole) for _ in range(12)]
    others = [b"", b"null", b"[]", b"5", b'"x"', b"{", b"\xff\xfe", b"\x00" * 50, b"[" * 100_000, b'{"a":' * 50_000]
    others += [b"<xml/>", b"a=b&c=d", b"\xef\xbb\xbf{}"]
    return [(path, body) for body in (*broken, *flipped, *others) for path in (CHAT,)]


def wrong_places() -> list[tuple[str, str]]:
    """Methods and paths that there are not."""
    paths = ["/v1", "/v1/models/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%00", "/v1/models/%2e%2e", "/docs"]
    paths += ["/openapi.json", "/redoc", "/v1/embeddings", "/v1/", "/" + "x" * 5000]
    return [
        *(("GET", path) for path in paths),
        ("GET", CHAT),
        ("PUT", CHAT),
        ("DELETE", "/v1/models"),
        ("TRACE", CHAT),
        ("PATCH", TEXT),
    ]


def check(answer: httpx.Response, what: Any) -> None:
    """It is refused, in OpenAI's shape, and tells nothing of the machine."""
    assert 400 <= answer.status_code < 500, (what, answer.text)
    error = json.loads(answer.content)["error"]
    assert error["message"] and len(error["message"]) <= 600 and error["type"], (what, error)
    assert not TRACES.search(answer.text) and str(ROOT) not in answer.text, (what, answer.text)
    assert not re.search("[\x00-\x08\x1b\x7f-\x9f\u202e]", error["message"])


def test_two_hundred_of_them(http: httpx.Client) -> None:
    head = {"Content-Type": "application/json"}
    asked = [*wrong_values(), *wrong_messages(), *wrong_prompts()]
    for path, values in asked:
        check(http.post(path, content=json.dumps(values).encode(), headers=head), values)
    bodies = wrong_bodies()
    for path, body in bodies:
        check(http.post(path, content=body, headers=head), body[:80])
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        check(http.post(CHAT, content=json.dumps(GOOD).encode(), headers={"Content-Type": kind}), kind)
    for method, path in wrong_places():
        check(http.request(method, path), path)
    check(http.post(SOURCES, json={"text": "no index"}), "sources")
    assert len(asked) + len(bodies) + len(wrong_places()) >= 200
    assert http.get("/health").json() == {"status": "ok"}
    assert http.post(CHAT, json=GOOD).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b"9" * 300 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_http_is_refused(server: Running, sent: bytes) -> None:
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 4") and not TRACES.search(answer.decode(errors="replace")), answer
