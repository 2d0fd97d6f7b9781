"""What tests of flows share: a store in which the real stages have run, and a corpus for trainings."""

import shutil
from pathlib import Path

import pytest

from flows.store.run_record import RunRecord
from tasks.dataset.store import Store
from tests.flows.report_stores import synthetic_web_run
from tests.model.tiny_corpus import TinyCorpus, make_tiny_corpus


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, RunRecord]:
    """The store of the data half of a small synthetic web, with the run's record; read only."""
    folder = tmp_path_factory.mktemp("crawled") / "store"
    return Store(str(folder)), synthetic_web_run(folder).record


@pytest.fixture
def copied(crawled: tuple[Store, RunRecord], tmp_path: Path) -> tuple[Store, RunRecord]:
    """The same to change."""
    shutil.copytree(crawled[0].root, tmp_path / "store")
    return Store(str(tmp_path / "store")), crawled[1]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> TinyCorpus:
    """A tiny corpus, written once."""
    return make_tiny_corpus(tmp_path_factory.mktemp("corpus"))
