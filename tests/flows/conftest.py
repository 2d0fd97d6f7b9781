"""What tests of readers of a store share: a store in which the real stages have run."""

import shutil
from pathlib import Path

import pytest

from flows.store.run_record import RunRecord
from tasks.dataset.store import Store
from tests.flows.report_stores import synthetic_web_run


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
