"""The partitions of signatures, from parts as they are stored."""

from pathlib import Path

import pytest

from tasks.dataset.manifest import part_path
from tasks.dataset.parts import PartWriter
from tasks.dataset.schemas import SIGNATURES
from tasks.dataset.stage import PartJob
from tasks.dataset.store import Store
from tasks.part_runner import run_part


@pytest.mark.parametrize("parts", [1, 2])
def test_of_parts_that_hold_no_documents_there_are_none(tmp_path: Path, parts: int) -> None:
    store, signed = Store(str(tmp_path)), "0" * 16
    for index in range(parts):
        with PartWriter(store, part_path("signatures", signed, index), SIGNATURES, "signatures", signed, "") as writer:
            writer.commit({})
    place = f"{signed}/0/{parts}/0"
    job = PartJob(store.url, "partitions", "1" * 16, 0, "", {"partitions": 2}, {"signatures": signed}, read_from=place)
    assert run_part(job).rows == 0
