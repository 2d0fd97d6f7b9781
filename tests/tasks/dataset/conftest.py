"""What tests of the store share: one of each kind."""

from pathlib import Path

import pytest

from tasks.dataset.store import Store


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store on a disk, in memory and on an S3-compatible server."""
    if request.param == "local":
        return Store(str(tmp_path / "store"))
    if request.param == "memory":
        return Store(f"memory://{tmp_path.name}")
    return Store(request.getfixturevalue("s3_bucket"))
