"""Parts as tasks: what is temporary is tried again, what is permanent is not, what kills a worker is set aside."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.engine.part_tasks import build_part, grouped, in_window, part_task, part_task_runner
from flows.engine.task_runner import to_threads
from flows.recipe.settings import RunSettings
from tasks.base.errors import PermanentError, TemporaryError
from tasks.dataset.stage import PartJob
from tasks.extract.config import ExtractionConfig
from tests.tasks.warc_builder import http_response, members, page, record

WARC = "crawl-data/CC-MAIN-2026-45/segments/1.1/warc/a.warc.gz"


@pytest.fixture(scope="module")
def server(prefect_server: str) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: prefect_server}):
        yield


def results(work: Callable[[str], str], labels: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `work`, as a task for each label, gives inside a flow, with short pauses between tries."""
    monkeypatch.setattr("flows.engine.part_tasks.RETRY_DELAYS", [0.05, 0.05, 0.05])

    @flow(task_runner=part_task_runner())
    def tasks() -> list[str]:
        found = dict(in_window(partial(to_threads, part_task(work, "work")), [(label,) for label in labels], 2))
        return [found[place] for place in sorted(found)]

    return tasks()


def test_a_temporary_error_is_tried_again(server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def work(label: str) -> str:
        calls.append(label)
        if len(calls) < 3:
            raise TemporaryError("busy")
        return "done"

    assert results(work, ["one"], monkeypatch) == ["done"]
    assert calls == ["one"] * 3


def test_a_permanent_error_is_not(server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def work(label: str) -> str:
        calls.append(label)
        raise PermanentError("wrong for ever")

    with pytest.raises(PermanentError, match="wrong for ever"):
        results(work, ["one"], monkeypatch)
    assert calls == ["one"]


def test_after_a_failure_nothing_more_is_begun(server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def work(label: str) -> str:
        calls.append(label)
        if label == "b":
            raise PermanentError("b is wrong")
        return label

    with pytest.raises(PermanentError, match="b is wrong"):
        results(work, list("abcdefgh"), monkeypatch)
    assert set("ab") <= set(calls) and len(calls) < 8


def test_results_come_for_every_place(server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(label: str) -> str:
        return label.upper()

    assert results(work, list("abcde"), monkeypatch) == list("ABCDE")


@given(count=st.integers(0, 500), workers=st.integers(1, 64))
def test_groups_hold_every_part_once(count: int, workers: int) -> None:
    groups = grouped(range(count), workers)
    assert [index for group in groups for index in group] == list(range(count))
    assert all(1 <= len(group) <= 32 for group in groups)


GIANT = b"<p>So many <b>words</b> of no use to anybody at all.</p>" * 45_000
ONE_PARAGRAPH_OF_LINKS = b"<p>" + (b"<a href=/x>a link</a> " + b"and words, and more words, " * 10) * 20_000
"""While it joins the pieces of this paragraph's text, the extractor stays in C code for seconds."""


def archive_around(body: bytes, folder: Path, **config: Any) -> PartJob:
    """The extraction of a page with this body between two small ones."""
    giant = record(http_response(b"<html><body>" + body), url="https://tolvane.example/giant")
    content = members([page(1), giant, page(2)])
    (folder / WARC).parent.mkdir(parents=True)
    (folder / WARC).write_bytes(content)
    return PartJob(
        store=str(folder / "store"),
        stage="extract",
        fingerprint="f" * 16,
        index=0,
        inputs="inputs",
        config=ExtractionConfig(max_elements=1_000_000, **config).model_dump(mode="json"),
        upstream={"fetch": "0" * 16},
        source={"base": str(folder), "crawl": "CC-MAIN-2026-45"},
        file=WARC,
    )


def test_a_page_that_kills_its_worker_becomes_a_decision(server: None, tmp_path: Path) -> None:
    """The giant does not fit a worker of 300 MB; the other pages go on."""
    reasons = reasons_of_giant(archive_around(GIANT, tmp_path), RunSettings(worker_memory_gib=0.3))
    assert reasons == ["extractor_memory"]


def test_a_page_that_holds_c_code_becomes_a_decision(server: None, tmp_path: Path) -> None:
    """The page's own time does not reach it there; the worker's limit without progress does."""
    job = archive_around(ONE_PARAGRAPH_OF_LINKS, tmp_path, max_page_seconds=1000)
    assert reasons_of_giant(job, RunSettings(stall_seconds=1)) == ["extractor_stall"]


def reasons_of_giant(job: PartJob, settings: RunSettings) -> list[str]:
    """Build the part; the reasons against the giant, while the pages around it are kept."""

    @flow
    def one_part() -> None:
        build_part(job, settings, Event())

    one_part()
    [decisions] = Path(job.store).glob("decisions/extract/*/*.parquet")
    rows = pq.read_table(decisions).to_pylist()
    assert [(len(row["reasons"]), row["kept"]) for row in rows] == [(0, True), (1, False), (0, True)]
    return list(rows[1]["reasons"])


def test_the_clock_of_a_part_condemns_no_page(server: None, tmp_path: Path) -> None:
    """Whatever page is being read when a part's time is up, it is the part that takes too long."""
    job = archive_around(GIANT, tmp_path)

    @flow
    def one_part() -> None:
        build_part(job, RunSettings(store=job.store, part_hours=0.5 / 3600), Event())

    with pytest.raises(PermanentError, match=r"part_hours"):
        one_part()
    assert not list((tmp_path / "store").rglob("part-*.parquet"))
