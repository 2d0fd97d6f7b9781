"""What tests of fetching share: a mirror of a small crawl. A test file with another crawl has a mirror of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tasks.crawl_mirror import Mirror, running_mirror, write_crawl


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    """A mirror of three WARC files, written to web/ of the test's folder."""
    write_crawl(tmp_path / "web")
    with running_mirror(tmp_path / "web") as running:
        yield running
