"""Fixtures of the model half's tests."""

import pytest
import torch

from tests.model.tiny_corpus import TinyCorpus, make_tiny_corpus


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tiny models gain nothing from threads, and lose much where other tests run beside them."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> TinyCorpus:
    """A tiny corpus, written once."""
    return make_tiny_corpus(tmp_path_factory.mktemp("corpus"))
