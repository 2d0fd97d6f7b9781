"""The program: its start, and an end in which no answer breaks off without a word."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from model.inference.requests import TokenEvent
from model.serving.settings import ServerSettings
from tests.conftest import ROOT
from tests.model.serving.running_server import running, slowed

ASKED = {"model": "sluice", "prompt": "hi", "max_tokens": 480, "temperature": 0, "stream": True}
ENDLESS = 1 << 16
"""Tokens of a context that no answer comes to the end of within a test."""


def start(folder: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    """`python -m model.serve` on a free port."""
    command = [sys.executable, "-m", "model.serve", "--model", str(folder), "--port=0", *options]
    values = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
    return subprocess.Popen(
        command, cwd=ROOT, env=values, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )


@pytest.fixture
def program(babbling: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running program and its address, with a context that takes a minute to fill."""
    folder = shutil.copytree(babbling, tmp_path / "endless")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": ENDLESS}))
    process = start(folder, "--shutdown-seconds=0")
    assert process.stdout
    yield process, process.stdout.readline().split()[-1]
    process.kill()
    process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_streams_with_a_word(program: tuple[subprocess.Popen[str], str], number: signal.Signals) -> None:
    process, address = program
    asked = ASKED | {"max_tokens": ENDLESS - 100}
    with httpx.stream("POST", f"{address}/v1/completions", json=asked, timeout=60) as answer:
        lines = (line.removeprefix("data: ") for line in answer.iter_lines() if line)
        next(lines)
        process.send_signal(number)
        *_, last, done = lines
    assert done == "[DONE]" and json.loads(last)["error"]["code"] == "shutting_down"
    assert process.wait(timeout=30) == 0 and "Traceback" not in process.communicate()[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host=0.0.0.0"], "can be reached from other machines: set a key in SLUICE_API_KEY"),
        (["--slots=0"], "slots"),
        (["--context=100000"], "context is 512 tokens"),
        (["--span-index=/nowhere"], "the span index in /nowhere cannot be read"),
    ],
)
def test_what_cannot_be_served_is_said(
    babbling: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    from model.serve import serve

    monkeypatch.delenv("SLUICE_API_KEY", raising=False)
    assert serve(["--model", str(babbling), "--port=0", *options]) == 2
    assert said in capsys.readouterr().err


def test_answers_may_end_by_themselves(babbling: Path) -> None:
    with (
        running(babbling, ServerSettings(port=0, shutdown_seconds=30)) as server,
        slowed(server, 0.001),
        httpx.stream("POST", f"{server.address}/v1/completions", json=ASKED, timeout=60) as answer,
    ):
        lines = (line.removeprefix("data: ") for line in answer.iter_lines() if line)
        next(lines)
        server.server.stop_soon()
        *_, last, done = lines
    assert done == "[DONE]" and json.loads(last)["choices"][0]["finish_reason"] == "length"


def test_a_failed_engine_is_told_and_ends_the_server(babbling: Path) -> None:
    """The engine's own fault is played: there is no request that makes it fail."""
    with running(babbling, ServerSettings(port=0)) as server:
        engine: Any = server.service.engine._engine

        def fail() -> list[TokenEvent]:
            raise RuntimeError("secret /tmp/path")

        engine.step = fail
        answer = httpx.post(f"{server.address}/v1/completions", json=ASKED, timeout=60)
        assert answer.status_code == 500 and "secret" not in answer.text
        assert answer.json()["error"]["code"] == "internal_error"
        end = time.monotonic() + 30
        while server.server.started and not server.server.should_exit and time.monotonic() < end:
            time.sleep(0.01)
        assert server.service.engine.failed and server.server.should_exit


def test_answers_of_many_clients_are_not_mixed(babbling: Path) -> None:
    """In company each gets the text that it gets alone."""

    async def texts(address: str, together: int) -> list[str]:
        gate = asyncio.Semaphore(together)
        async with httpx.AsyncClient(base_url=address, timeout=60) as client:

            async def one(number: int) -> str:
                more = {"prompt": f"town {number}", "temperature": 1, "seed": number, "max_tokens": 24, "stream": False}
                async with gate:
                    answer = await client.post("/v1/completions", json=ASKED | more)
                return str(answer.json()["choices"][0]["text"])

            return await asyncio.gather(*map(one, range(24)))

    with running(babbling, ServerSettings(port=0)) as server:
        alone = asyncio.run(texts(server.address, 1))
        assert asyncio.run(texts(server.address, 24)) == alone and len(set(alone)) == 24
