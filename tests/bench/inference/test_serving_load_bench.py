"""Fifty clients that stream for a minute: no answer is lost or mixed up, memory stays; how soon the first token is."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import openai
import psutil
import pytest

from tests.bench.inference.decode_sides import SHAPES, export_of
from tests.conftest import ROOT
from tests.model.tiny_corpus import make_tiny_corpus

CLIENTS, SECONDS, QUESTIONS = 50, 60, 100
MOST_GROWTH = 1.1
"""Memory of the server at the end over that after the first seconds."""


@dataclass
class Load:
    """What became of the streams."""

    first: list[float] = field(default_factory=list)
    """Seconds to the first token of each."""
    lost: list[str] = field(default_factory=list)
    mixed: int = 0
    memory: list[int] = field(default_factory=list)
    """Bytes of the server, each second."""

    def milliseconds(self, share: float) -> int:
        """The time in which this share of the first tokens came."""
        return round(1000 * sorted(self.first)[int(len(self.first) * share)])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, psutil.Process]]:
    """`python -m model.serve` with its usual limits on a model of 2M random weights: its address and process."""
    folder = export_of(SHAPES["2M"], tmp_path / "export", make_tiny_corpus(tmp_path).tokenizer)
    command = [sys.executable, "-m", "model.serve", "--model", str(folder), "--port=0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().split()[-1], psutil.Process(process.pid)
        process.terminate()


async def stream(client: openai.AsyncOpenAI, question: int, load: Load) -> str:
    """One answer, streamed."""
    began, text, reason = time.perf_counter(), "", None
    asked = [{"role": "user", "content": f"Question {question}: which town lies on the Kinno?"}]
    async for chunk in await client.chat.completions.create(
        model="sluice", messages=asked, max_tokens=2 + question % 47, temperature=0.8, seed=question, stream=True
    ):
        if chunk.choices[0].delta.content and not text:
            load.first.append(time.perf_counter() - began)
        text += chunk.choices[0].delta.content or ""
        reason = chunk.choices[0].finish_reason or reason
    if reason is None:
        raise EOFError(f"the answer to {question} has no end")
    return text


async def load_of(address: str, process: psutil.Process) -> Load:
    """Let every client ask one question after another; each answer must be the one that was given alone."""
    client = openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=120)
    alone = [await stream(client, question, Load()) for question in range(QUESTIONS)]
    load, end = Load(), time.monotonic() + SECONDS

    async def ask(number: int) -> None:
        question = number
        while time.monotonic() < end:
            question = (question + 7) % QUESTIONS
            try:
                load.mixed += await stream(client, question, load) != alone[question]
            except (openai.OpenAIError, EOFError) as error:
                load.lost.append(str(error))

    async def watch() -> None:
        while time.monotonic() < end:
            await asyncio.sleep(1)
            load.memory.append(process.memory_info().rss)

    await asyncio.gather(watch(), *map(ask, range(CLIENTS)))
    return load


@pytest.mark.bench
def test_fifty_streaming_clients(server: tuple[str, psutil.Process]) -> None:
    load = asyncio.run(load_of(*server))
    memory = [load.memory[5] >> 20, load.memory[-1] >> 20]
    print(f"\n{len(load.first)} streams in {SECONDS} s, {len(load.lost)} lost, {load.mixed} mixed")
    print(f"first token: p50 {load.milliseconds(0.5)} ms, p95 {load.milliseconds(0.95)} ms; MiB: {memory}")
    assert not load.lost and not load.mixed
    assert memory[1] < MOST_GROWTH * memory[0]
