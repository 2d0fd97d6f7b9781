"""A real endpoint on loopback that answers chat requests as a script says, and counts what it was asked."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Script = Callable[[int, dict[str, Any]], str]
"""From how many requests came before and a request's body to what the endpoint does: `ok`, or a fault."""


def text_of(body: dict[str, Any]) -> str:
    """What the model says: a score where it is asked for one, else something of its own about the text."""
    asked = body["messages"][-1]["content"]
    if "Write the number only" in asked:
        return f"Score: {len(asked) % 10 + 1 if 'from 1 to 10' in asked else 4 + len(asked) % 2}"
    words = next((line for line in asked.splitlines() if "number " in line), asked).split()[:6]
    return f"Reply {body['seed']} of the model to the words {' '.join(words)}, in a whole English sentence."


class Endpoint:
    """The running endpoint."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.paid: Counter[str] = Counter()
        """How often each request was answered with a text, by its messages and seed."""
        self.idempotency_keys: set[str | None] = set()
        self.asked = 0
        self.at_once = self.most_at_once = 0
        self.keys: set[str | None] = set()
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with endpoint.lock:
                number, endpoint.asked = endpoint.asked, endpoint.asked + 1
                endpoint.keys.add(self.headers["Authorization"])
                endpoint.at_once += 1
                endpoint.most_at_once = max(endpoint.most_at_once, endpoint.at_once)
            try:
                self._answer(body, endpoint.script(number, body))
            finally:
                with endpoint.lock:
                    endpoint.at_once -= 1

        def _answer(self, body: dict[str, Any], does: str) -> None:
            text = "What is told of this town?" if does == "same" else text_of(body)
            usage = {"prompt_tokens": 20, "completion_tokens": 10}
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            whole = json.dumps({"choices": [choice], "usage": usage}).encode()
            if does in ("ok", "same"):
                with endpoint.lock:
                    endpoint.paid[json.dumps([body["messages"], body["seed"]])] += 1
                    endpoint.idempotency_keys.add(self.headers["Idempotency-Key"])
                self._send(200, whole)
            elif does == "nothing":
                self.connection.close()
            elif does == "silence":
                time.sleep(0.6)
            else:
                status, content = {
                    "429": (429, b'{"error": {"message": "slow down"}}'),
                    "garbage": (200, b"<html>\x00 not JSON</html>"),
                    "half": (200, whole[: len(whole) // 2]),
                    "no text": (200, b'{"choices": [{"message": {"content": null}}]}'),
                    "huge": (200, b" " * (9 << 20)),
                    "quota": (429, b'{"error": {"code": "insufficient_quota"}}'),
                }.get(does, (int(does) if does.isdecimal() else 500, b"an error"))
                self._send(status, content, {"Retry-After": "1"} if does == "503" else {})

        def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(content)
            except OSError:
                self.close_connection = True  # the client had enough

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler


@contextmanager
def endpoint(script: Script = lambda number, body: "ok") -> Iterator[Endpoint]:
    """Run an endpoint."""
    running = Endpoint(script)
    thread = threading.Thread(target=running.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.server.shutdown()
        running.server.server_close()
