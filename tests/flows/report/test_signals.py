"""Signals, domains and page metadata in the report: whole counts of a small crawl, thresholds in place, bounds kept."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.report.page import render
from flows.report.plots import signals_plot
from flows.report.readers.domains import read_domains
from flows.report.readers.funnel import funnel_discrepancies
from flows.report.readers.page_metadata import read_counted, read_page_metadata
from flows.report.readers.samples import removed_samples
from flows.report.readers.signals import SignalHistogram, read_signals
from flows.report.sections import Report
from flows.store.datasets import MAX_GROUPS, MAX_PARTS
from flows.store.domain_counts import count_domains
from flows.store.run_record import RunRecord
from tasks.dataset.manifest import decisions_folder
from tasks.dataset.parts import PartWriter, part_name, read_footer
from tasks.dataset.store import Store
from tasks.filter.config import FilterConfig, filter_rules
from tasks.filter.filter import DECISIONS


def rows(store: Store, folder: str, columns: list[str]) -> list[dict[str, Any]]:
    parts = sorted(path for path in (Path(store.root) / folder).iterdir() if path.suffix == ".parquet")
    return [row for part in parts for row in pq.read_table(part, columns=columns).to_pylist()]


def decided(store: Store, record: RunRecord, stage: str, columns: list[str]) -> list[dict[str, Any]]:
    return rows(store, decisions_folder(stage, record.stages[stage].plan.fingerprint), columns)


def histograms(store: Store, record: RunRecord, stage: str = "filter") -> dict[str, SignalHistogram]:
    found = next(one for one in read_signals(store, record) if one.stage == stage)
    return {one.signal: one for one in found.histograms}


def test_every_signal_of_the_rules_has_a_histogram_of_all_documents(crawled: tuple[Store, RunRecord]) -> None:
    decisions = decided(*crawled, "filter", ["kept", "reasons"])
    found = histograms(*crawled)
    rules = filter_rules(FilterConfig.model_validate(crawled[1].stages["filter"].plan.config))
    assert set(found) == {column for rule in rules for column in rule.columns} - {"language"}
    for one in found.values():
        assert sum(one.kept) == sum(row["kept"] for row in decisions)
        assert sum(one.removed) == sum(not row["kept"] for row in decisions)
        assert one.failing == sum(rule.name in row["reasons"] for row in decisions for rule in one.thresholds)
        assert list(one.edges) == sorted(set(one.edges))
    failing = [one.failing for one in found.values()]
    assert failing == sorted(failing, reverse=True) and failing[0] > 0


def test_no_kept_document_stands_where_a_rule_removes(crawled: tuple[Store, RunRecord]) -> None:
    for one in histograms(*crawled).values():
        for rule in one.thresholds:
            boundary = one.boundary(rule)
            assert one.edges[0] <= boundary <= one.edges[-1], rule
            for (low, high), kept in zip(pairwise(one.edges), one.kept, strict=True):
                beyond = high < boundary if rule.comparison.startswith("<") else low > boundary
                assert not (beyond and kept), rule


def test_a_plot_is_the_same_every_time_and_small(crawled: tuple[Store, RunRecord]) -> None:
    found = list(histograms(*crawled).values())
    plot = signals_plot("filter", found)
    assert plot == signals_plot("filter", found)
    assert all(one.signal.replace("_", " ") in plot for one in found)
    assert len(plot) < 7_000 * len(found)


def test_a_large_crawl_is_sampled_and_the_page_says_so(copied: tuple[Store, RunRecord]) -> None:
    store, record = copied
    plan = record.stages["filter"].plan
    folder, row = decisions_folder("filter", plan.fingerprint), decided(store, record, "filter", DECISIONS.names)[0]
    for part in range(MAX_PARTS + 2):
        path = f"{folder}/{part_name(part)}"
        with PartWriter(store, path, DECISIONS, "filter", plan.part_fingerprint, "i") as writer:
            for _ in range(MAX_GROUPS + 2):
                writer.write(pa.Table.from_pylist([row], DECISIONS))
            writer.commit({})
    manifest = f"{plan.folder}.manifest.json"
    store.write_bytes(manifest, store.read_bytes(manifest).replace(b'"read": ', b'"read": 99'))
    documents = {stage.stage: stage.documents for stage in read_signals(store, record)}
    assert documents["filter"] == MAX_PARTS * MAX_GROUPS
    assert f"a sample of {MAX_PARTS * MAX_GROUPS}" in render(Report(store, record))


def test_domains_follow_records_to_the_corpus(crawled: tuple[Store, RunRecord]) -> None:
    store, record = crawled
    kept = {row["id"] for row in rows(store, record.stages["corpus"].plan.folder, ["id"])}
    records = decided(store, record, "extract", ["id", "url"])
    found = read_domains(store, record)
    read = Counter(row["url"].split("/")[2].removeprefix("www.") for row in records)
    stayed = Counter(row["url"].split("/")[2].removeprefix("www.") for row in records if row["id"] in kept)
    assert (found.records, found.domains, found.last_stage) == (len(records), len(read), "corpus")
    for one in (*found.most_read, *found.most_kept):
        assert (one.kept, one.records) == (stayed[one.domain], read[one.domain])
    assert found.most_read[0].records == max(read.values())
    assert found.most_kept[0].kept == max(stayed.values())


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://www.example.co.uk/a/b", "example.co.uk"),
        ("http://user:secret@News.Example.org:8080/", "example.org"),
        ("https://192.0.2.7/x", "192.0.2.7"),
        ("https:///nothing", ""),
        ("mailto:somebody", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_an_address_has_one_domain(url: str | None, domain: str) -> None:
    assert count_domains(pa.chunked_array([[url]], pa.string())) == {domain: 1}


def _add_columns(store: Store, record: RunRecord, stage: str, **columns: Any) -> None:
    """Give every document of a stage these metadata, each a function of its row."""
    for path in (Path(store.root) / record.stages[stage].plan.folder).glob("*.parquet"):
        relative, table = path.relative_to(store.root).as_posix(), pq.read_table(path)
        footer = read_footer(store, relative)
        assert footer is not None
        for name, (kind, value) in columns.items():
            column = pa.array([value(place) for place in range(table.num_rows)], kind)
            table = table.drop_columns([name] if name in table.column_names else []).append_column(name, column)
        with PartWriter(store, relative, table.schema, stage, footer.fingerprint, footer.inputs) as writer:
            writer.write(table)
            writer.commit(footer.counters)


def test_page_metadata_is_counted(copied: tuple[Store, RunRecord]) -> None:
    store, record = copied
    _add_columns(
        store,
        record,
        "corpus",
        title=(pa.string(), lambda row: "a title"),
        published=(pa.string(), lambda row: "2026-03-01" if row % 2 else None),
        declared_language=(pa.string(), lambda row: "de"),
        license=(pa.string(), lambda row: "https://example.org/<by>" if row == 0 else None),
        robots=(pa.list_(pa.string()), lambda row: ["noai", "noarchive"] if row == 1 else []),
    )
    parts = [part.rows for part in _manifest_parts(store, record)]
    found = read_page_metadata(store, record)[-1]
    assert (found.stage, found.documents) == ("corpus", sum(parts))
    assert found.declared == {
        "title": sum(parts),
        "published": sum(n // 2 for n in parts),
        "declared_language": sum(parts),
        "license": len(parts),
        "robots": len(parts),
    }
    assert found.other_language == sum(parts)
    assert found.licenses == (("https://example.org/<by>", len(parts)),)
    assert found.robots == (("noai", len(parts)), ("noarchive", len(parts)))
    assert found.years == (("2026", sum(n // 2 for n in parts)),)
    html = render(Report(store, record))
    assert "https://example.org/&lt;by&gt;" in html


def _manifest_parts(store: Store, record: RunRecord) -> list[Any]:
    from tasks.dataset.manifest import read_manifest

    manifest = read_manifest(store, "corpus", record.stages["corpus"].plan.fingerprint)
    assert manifest is not None
    return manifest.parts


def test_a_new_check_of_the_corpus_shows_by_itself(copied: tuple[Store, RunRecord]) -> None:
    store, record = copied
    folder = Path(store.root) / decisions_folder("corpus", record.stages["corpus"].plan.fingerprint)
    for path in folder.iterdir():
        table = pq.read_table(path)
        reasons = [[*row, "harmful"] if place == 0 else row for place, row in enumerate(table["reasons"].to_pylist())]
        table = table.set_column(3, "reasons", pa.array(reasons, pa.list_(pa.string())))
        scores = pa.array([place / table.num_rows for place in range(table.num_rows)], pa.float32())
        pq.write_table(table.append_column("harm_score", scores), path)
    manifest = f"{record.stages['corpus'].plan.folder}.manifest.json"
    counted = store.read_bytes(manifest).replace(b'"read": ', b'"tone.rude_words": 7, "read": ')
    store.write_bytes(manifest, counted)
    assert "harm_score" in histograms(store, record, "corpus")
    group = next(group for group in removed_samples(store, record) if group.reason == "harmful")
    assert group.stage == "corpus" and group.samples[0].document.text
    assert [one.what for one in read_counted(store, record) if one.stage == "corpus"] == ["tone: rude words"]
    html = render(Report(store, record))
    assert "harm score" in html and "tone: rude words" in html


def test_other_checks_of_the_corpus_are_no_discrepancy_with_the_duplicates(copied: tuple[Store, RunRecord]) -> None:
    store, record = copied
    manifest = f"{record.stages['corpus'].plan.folder}.manifest.json"
    counted = store.read_bytes(manifest).replace(b'"removed.near', b'"removed.harmful": 2, "removed.near')
    store.write_bytes(manifest, counted)
    assert not [line for line in funnel_discrepancies(store, record) if line.startswith("duplicates names")]
