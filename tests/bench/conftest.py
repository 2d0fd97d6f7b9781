"""Fixtures of the benchmarks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.packed_corpus import TWO_MILLION, write_packed_corpus


@pytest.fixture(scope="session")
def packed_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of about two million packed tokens."""
    folder = tmp_path_factory.mktemp("packed")
    write_packed_corpus(folder, documents=3000)
    return folder


@pytest.fixture(scope="session")
def crawl_tokens(common_crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The tokens and the packing of all that Gopher's rules keep of a crawl, in any language: 1.6M tokens."""
    store = tmp_path_factory.mktemp("store")
    settings = {
        "source.base": common_crawl,
        "source.crawl": "CC-MAIN-2026-46",
        "source.warcs": "all",
        "extract.extractor": "precision",
        "filter.profiles": "[gopher]",
        "filter.languages": "[]",
        "tokenizer.vocab_size": TWO_MILLION.shape.vocab_size,
    }
    command = [str(Path(sys.executable).with_name("sluice")), "corpus", "first-crawl", "--store", str(store)]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    subprocess.run(command, check=True, capture_output=True, env=os.environ)
    tokens, packing = (store / "datasets" / stage for stage in ("tokens", "packing"))
    return next(filter(Path.is_dir, tokens.iterdir())), next(filter(Path.is_dir, packing.iterdir()))


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """All sides train on the CPU, also where there is a GPU."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
