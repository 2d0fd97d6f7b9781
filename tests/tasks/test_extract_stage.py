"""The extract stage: each record is told before it is decoded, those that broke a worker are decided on unread."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import Any

from tasks.extraction import ExtractionConfig
from tasks.stages import extract
from tasks.stages.stage import PartContext, PartJob
from tasks.store import Store
from tests.tasks.warc_builder import http_response, members, page, record

WARC = "crawl-data/CC-MAIN-2026-45/segments/1.1/warc/a.warc.gz"
BROKEN = record(http_response(b"abc", Content_Encoding="rot13"), url="https://tolvane.example/broken")
RECORDS = [page(0), BROKEN, page(2)]
OFFSETS = [0, *accumulate(len(members([one])) for one in RECORDS)][:-1]


class Told:
    """A supervisor that remembers."""

    def __init__(self) -> None:
        self.positions: list[int] = []

    def at(self, position: int) -> None:
        """Remember a position once."""
        if position not in self.positions:
            self.positions.append(position)


def decisions(folder: Path, skip: dict[int, str]) -> tuple[list[dict[str, Any]], list[int]]:
    """The decisions on `RECORDS`, and the positions told."""
    (folder / WARC).parent.mkdir(parents=True, exist_ok=True)
    (folder / WARC).write_bytes(members(RECORDS))
    source = {"source": {"base": str(folder), "crawl": "CC-MAIN-2026-45"}, "path": WARC}
    config = ExtractionConfig().model_dump(mode="json")
    job = PartJob(str(folder / "store"), "extract", "f" * 16, 0, "inputs", config, {}, source, skip)
    told = Told()
    outputs = list(extract.run(PartContext(job, Store(job.store), told)))
    rows = [row for output in outputs if output.decisions is not None for row in output.decisions.to_pylist()]
    return rows, told.positions


def test_a_record_that_gives_no_page_keeps_its_address(tmp_path: Path) -> None:
    rows, told = decisions(tmp_path, {})
    assert [(row["reasons"], row["url"]) for row in rows] == [
        ([], "https://tolvane.example/0"),
        (["bad_body"], "https://tolvane.example/broken"),
        ([], "https://tolvane.example/2"),
    ]
    assert told == OFFSETS


def test_a_record_that_broke_a_worker_is_not_decoded_again(tmp_path: Path) -> None:
    rows, told = decisions(tmp_path, {OFFSETS[1]: "stall"})
    assert [row["reasons"] for row in rows] == [[], ["extractor_stall"], []]
    assert rows[1]["url"] == "https://tolvane.example/broken"
    assert told == OFFSETS
