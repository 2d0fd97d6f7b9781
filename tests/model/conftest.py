"""Fixtures of the model half's tests."""

from __future__ import annotations

import pytest

from tests.model.tiny_corpus import TinyCorpus, make_tiny_corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> TinyCorpus:
    """A tiny corpus, written once."""
    return make_tiny_corpus(tmp_path_factory.mktemp("corpus"))
