"""Fixtures of the benchmarks."""

from pathlib import Path

import pytest

from tests.bench.data.crawl_corpus import dataset_folder, make_corpus
from tests.bench.training.packed_corpus import TWO_MILLION, write_packed_corpus


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
        "extract.extractor": "precision",
        "filter.profiles": "[gopher]",
        "filter.languages": "[]",
        "tokenizer.vocab_size": TWO_MILLION.shape.vocab_size,
    }
    make_corpus(common_crawl, store, settings)
    return dataset_folder(store, "tokens"), dataset_folder(store, "packing")


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """All sides train on the CPU, also where there is a GPU."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
