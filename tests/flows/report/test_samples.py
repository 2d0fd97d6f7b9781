"""The texts that the report shows: the store's own, with reasons that hold; a large store is only dipped into."""

import operator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.report.readers.funnel import read_funnel
from flows.report.readers.reasons import read_distributions
from flows.report.readers.samples import (
    duplicate_pairs,
    kept_samples,
    removed_samples,
    unreadable_samples,
)
from flows.report.readers.text_difference import mark_differences
from flows.store.datasets import MAX_GROUPS, MAX_PARTS, evenly_spaced, rows_by_id, sampled_rows
from flows.store.run_record import RunRecord
from tasks.dataset.parts import PartWriter, part_name, read_part
from tasks.dataset.store import Store
from tasks.synthetic_web.truth import read_truth
from tests.flows.report_stores import synthetic_web_run

COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, RunRecord]:
    folder = tmp_path_factory.mktemp("crawled") / "store"
    return Store(str(folder)), synthetic_web_run(folder).record


def texts(store: Store, record: RunRecord, stage: str) -> dict[str, str]:
    folder = record.stages[stage].plan.folder
    return {
        row["id"]: row["text"]
        for name in store.names(folder)
        if name.endswith(".parquet")
        for table in read_part(store, f"{folder}/{name}")
        for row in table.to_pylist()
    }


def test_kept_samples_are_the_corpus(crawled: tuple[Store, RunRecord]) -> None:
    corpus = texts(*crawled, "corpus")
    samples = kept_samples(*crawled)
    assert len(samples) == len({sample.id for sample in samples}) > 3
    for sample in samples:
        assert corpus[sample.id].startswith(sample.text)
        assert sample.characters == len(corpus[sample.id])
    assert samples == kept_samples(*crawled)


def test_removed_samples_show_what_was_measured(crawled: tuple[Store, RunRecord]) -> None:
    extracted, filtered = texts(*crawled, "extract"), texts(*crawled, "filter")
    groups = removed_samples(*crawled)
    shown = [sample.document.id for group in groups for sample in group.samples]
    assert len(groups) > 5 and len(shown) == len(set(shown))
    for group in groups:
        for sample in group.samples:
            assert sample.document.id not in filtered
            assert extracted[sample.document.id].startswith(sample.document.text)
            assert any(failure.startswith(f"{group.reason}:") for failure in sample.failures)
            for failure in sample.failures:
                if not failure.startswith("language"):
                    *_, value, comparison, threshold = failure.split()
                    assert COMPARE[comparison](float(value), float(threshold)), failure


def test_unreadable_records_are_named_by_their_address(crawled: tuple[Store, RunRecord]) -> None:
    truth = {page.id: page for page in read_truth(Path(crawled[0].root) / "synthetic_web")}
    records = [record for found in unreadable_samples(*crawled).values() for record in found]
    assert records
    for record in records:
        assert truth[record.id].url == record.url


def test_duplicate_pairs_are_copies_of_one_another(crawled: tuple[Store, RunRecord]) -> None:
    truth = {page.id: page for page in read_truth(Path(crawled[0].root) / "synthetic_web")}
    corpus = texts(*crawled, "corpus")
    pairs = duplicate_pairs(*crawled)
    assert pairs and pairs[0].reason == "near_duplicate"
    for pair in pairs:
        assert truth[pair.removed.id].duplicate_cluster == truth[pair.kept.id].duplicate_cluster is not None
        assert pair.kept.id in corpus and pair.removed.id not in corpus
        assert "".join(piece.text for piece in pair.kept_pieces) == pair.kept.text


def test_distributions_count_every_document_of_a_small_crawl(crawled: tuple[Store, RunRecord]) -> None:
    found = read_distributions(*crawled)
    kept, read = texts(*crawled, "filter"), texts(*crawled, "extract")
    assert found.documents == len(read)
    assert len(found.words_kept) == sum(language.kept for language in found.languages) == len(kept)
    assert len(found.words_removed) == len(read) - len(kept)
    failed = {reason.reason: reason.count for reason in read_funnel(*crawled).stages[1].reasons}
    assert all(0 < alone <= failed[rule] for rule, alone in found.failed_alone.items()) and found.failed_alone


def test_a_large_dataset_is_only_dipped_into(tmp_path: Path) -> None:
    store, schema = Store(str(tmp_path)), pa.schema([("id", pa.string()), ("text", pa.string())])
    for part in range(MAX_PARTS + 4):
        with PartWriter(store, f"many/{part_name(part)}", schema, "s", "f", "i") as writer:
            for group in range(MAX_GROUPS + 3):
                writer.write(pa.table({"id": [f"{part}:{group}"], "text": ["x"]}))
            writer.commit({})
    rows = [row for _, rows in sampled_rows(store, "many", ["id", "not there"]) for row in rows]
    assert len(rows) == MAX_PARTS * MAX_GROUPS
    assert len({row["id"].split(":")[0] for row in rows}) == MAX_PARTS
    found = rows_by_id(store, "many", part_name(7), ["7:2", "7:10", "8:1"], ["text"])
    assert found == {"7:2": {"id": "7:2", "text": "x"}, "7:10": {"id": "7:10", "text": "x"}}


@given(st.lists(st.integers(), unique=True, max_size=60), st.integers(1, 20))
def test_evenly_spaced_keeps_order_and_its_bound(items: list[int], most: int) -> None:
    chosen = evenly_spaced(items, most)
    assert len(chosen) == min(len(items), most)
    assert [items.index(item) for item in chosen] == sorted(items.index(item) for item in chosen)
    assert chosen[:1] == items[:1]


words = st.lists(st.sampled_from(["a", "bb", " ", "\n", "c  ", "\u3000", "d"]), max_size=25).map("".join)


@given(words, words)
def test_pieces_of_a_comparison_are_the_texts(left: str, right: str) -> None:
    sides = mark_differences(left, right)
    assert tuple("".join(piece.text for piece in side) for side in sides) == (left, right)
    same = [[word for piece in side if not piece.differs for word in piece.text.split()] for side in sides]
    assert same[0] == same[1]
    if left == right:
        assert not any(piece.differs for side in sides for piece in side)
