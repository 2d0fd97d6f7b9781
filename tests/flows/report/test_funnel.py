"""The funnel of a run, and the check that nothing disappears: it holds for the real stages and finds tampering."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.report.readers.funnel import funnel_discrepancies, read_funnel
from flows.store.deciding_stages import DECIDING_STAGES
from flows.store.run_record import RunRecord
from tasks.dataset.store import Store
from tasks.synthetic_web.truth import read_truth
from tests.flows.report_stores import synthetic_web_run


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord]:
    """The data half's store; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("crawled") / "store"
    return folder, synthetic_web_run(folder).record


@pytest.fixture
def copied(crawled: tuple[Path, RunRecord], tmp_path: Path) -> tuple[Store, RunRecord]:
    shutil.copytree(crawled[0], tmp_path / "store")
    return Store(str(tmp_path / "store")), crawled[1]


def test_counts_of_the_real_stages_follow_the_documents(crawled: tuple[Path, RunRecord]) -> None:
    store, record = Store(str(crawled[0])), crawled[1]
    funnel = read_funnel(store, record)
    truth = list(read_truth(crawled[0] / "synthetic_web"))
    assert [stage.stage for stage in funnel.stages] == list(DECIDING_STAGES)
    assert funnel.files == f"{funnel.warcs} WARC files"
    assert dataclasses.replace(funnel, warcs=1, file_kind="file").files == "1 file"
    assert funnel.records == len(truth)
    assert funnel.warcs == 2
    assert funnel.warc_bytes == sum(path.stat().st_size for path in (crawled[0] / "synthetic_web").rglob("*.warc.gz"))
    for before, after in zip(funnel.stages, funnel.stages[1:], strict=False):
        assert before.kept == after.read
    extract = funnel.stages[0]
    assert sum(reason.count for reason in extract.reasons) >= extract.removed > 0
    assert [reason.count for reason in extract.reasons] == sorted((r.count for r in extract.reasons), reverse=True)
    assert funnel.tokens is not None and funnel.packing is not None
    assert funnel.tokens.documents == funnel.stages[-1].kept
    assert funnel.tokens.validation_tokens > 0
    assert 0.5 < funnel.packing.fill <= 1


def test_nothing_disappears_in_the_real_stages(crawled: tuple[Path, RunRecord]) -> None:
    assert funnel_discrepancies(Store(str(crawled[0])), crawled[1]) == []


def _change_manifest(stage: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Store, RunRecord], None]:
    def tamper(store: Store, record: RunRecord) -> None:
        path = f"{record.stages[stage].plan.folder}.manifest.json"
        manifest = json.loads(store.read_bytes(path))
        change(manifest["parts"][0])
        store.write_bytes(path, json.dumps(manifest).encode())

    return tamper


def _lose_decisions(store: Store, record: RunRecord) -> None:
    store.remove(f"decisions/filter/{record.stages['filter'].plan.fingerprint}/part-00001.parquet")


def _lose_a_reason(part: dict[str, Any]) -> None:
    part["counters"]["removed.near_duplicate"] -= 1


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (_lose_decisions, "filter, part-00001.parquet: there are no decisions"),
        (_change_manifest("extract", lambda part: part["counters"].update(read=60)), "60 records were read"),
        (_change_manifest("filter", lambda part: part["counters"].update(kept=1)), "1 documents were counted as kept"),
        (_change_manifest("filter", lambda part: part.update(rows=3)), "filter gives 3 documents, corpus takes"),
        (_change_manifest("corpus", _lose_a_reason), "duplicates names"),
        (_change_manifest("packing", lambda part: part["counters"].update(padding=0)), "packing: "),
        (_change_manifest("packing", lambda part: part["counters"].update(tokens=5)), "the plan holds only 5"),
    ],
)
def test_what_does_not_add_up_is_named(
    copied: tuple[Store, RunRecord], tamper: Callable[[Store, RunRecord], None], expected: str
) -> None:
    tamper(*copied)
    assert any(expected in line for line in funnel_discrepancies(*copied)), funnel_discrepancies(*copied)


def test_an_unfinished_dataset_counts_by_its_parts(copied: tuple[Store, RunRecord]) -> None:
    store, record = copied
    whole = read_funnel(store, record).stage("filter")
    folder = record.stages["filter"].plan.folder
    store.remove(f"{folder}.manifest.json")
    store.remove(f"{folder}/part-00001.parquet")
    part = read_funnel(store, record).stage("filter")
    assert whole is not None and part is not None
    assert not part.finished
    assert (part.parts, part.expected) == (1, 2)
    assert 0 < part.kept < whole.kept
    assert not [line for line in funnel_discrepancies(store, record) if line.startswith("filter")]


def test_parts_of_another_fingerprint_do_not_count(copied: tuple[Store, RunRecord]) -> None:
    store, record = copied
    folder = record.stages["extract"].plan.folder
    store.remove(f"{folder}.manifest.json")
    other = record.stages["filter"].plan.folder
    store.write_bytes(f"{folder}/part-00000.parquet", store.read_bytes(f"{other}/part-00000.parquet"))
    extract = read_funnel(store, record).stage("extract")
    assert extract is not None
    assert extract.parts == 1


def test_an_empty_store_has_an_empty_funnel(crawled: tuple[Path, RunRecord], tmp_path: Path) -> None:
    funnel = read_funnel(Store(str(tmp_path)), crawled[1])
    assert (funnel.records, funnel.stages, funnel.tokens, funnel.packing) == (0, (), None, None)
