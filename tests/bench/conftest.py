"""Fixtures of the benchmarks."""

from pathlib import Path

import pytest

from tests.bench.packed_corpus import write_packed_corpus


@pytest.fixture(scope="session")
def packed_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of about two million packed tokens."""
    folder = tmp_path_factory.mktemp("packed")
    write_packed_corpus(folder, documents=3000)
    return folder


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """All sides train on the CPU, also where there is a GPU."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
