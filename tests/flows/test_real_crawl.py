"""Real pages over HTTP: a mirror that misbehaves gives the same corpus, byte for byte, as the folder behind it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import Sluice, dataset_bytes

CRAWL = "CC-MAIN-2026-46"
FAULTS = ("--busy", "0.2", "--cut", "0.2", "--forbid", "0.1", "--seed", "3")


@pytest.fixture
def mirror(common_crawl: Path) -> Iterator[str]:
    """The address of a mirror on loopback that is busy, cuts bodies short and refuses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, str(common_crawl / "serve.py"), "--port", str(port), *FAULTS])
    base = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                httpx.get(f"{base}/_stats")
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        yield base
    finally:
        server.terminate()
        server.wait()


def test_the_same_corpus_from_a_bad_mirror_and_a_folder(
    sluice: Sluice, mirror: str, common_crawl: Path, tmp_path: Path
) -> None:
    chosen = ["--set", f"source.crawl={CRAWL}", "--set", "source.warcs=[1, 4]", "--set", "tokenizer.vocab_size=600"]
    chosen += ["--set", "source.bytes_per_warc=1500000", "--set", "source.transfer.first_pause_seconds=0.02"]
    for name, base in (("mirror", mirror), ("folder", str(common_crawl))):
        sluice("corpus", "first-crawl", "--store", str(tmp_path / name), *chosen, "--set", f"source.base={base}")
    stages = ("fetch", "extract", "filter", "duplicates", "corpus", "tokens", "packing")
    fetched = dataset_bytes(tmp_path / "mirror", *stages)
    assert fetched == dataset_bytes(tmp_path / "folder", *stages)
    assert len(fetched) > 10
    asked = httpx.get(f"{mirror}/_stats").json()
    assert asked, "the mirror was never asked"
    assert not list((tmp_path / "mirror" / "warcs").rglob("*.gz")), "fetched WARCs are dropped after extraction"
