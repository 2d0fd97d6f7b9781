"""A store in S3-compatible object storage: the whole way, and the same rows as on a local disk."""

from pathlib import Path

import pytest

from tasks.dataset.store import Store
from tasks.registry import STAGES as DATA_STAGES
from tests.conftest import Sluice, dataset_bytes


@pytest.mark.slow
def test_the_whole_way_in_a_bucket(
    sluice: Sluice,
    finished_store: Path,
    tiny_recipe: Path,
    s3_bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    sluice("run", str(tiny_recipe), "--store", s3_bucket)
    store = Store(s3_bucket)
    for path, content in dataset_bytes(finished_store, *DATA_STAGES).items():
        assert store.read_bytes(path) == content, path
    assert store.names("reports") and store.names("models")
    assert sluice("chat", "Hello!", "--store", s3_bucket, "--max-new-tokens", "3").stdout.strip()
