"""The checks of the corpus in the report, and failed WARC files: every count is that of the store."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.publishing.eu_summary import eu_summary
from flows.report.page import render
from flows.report.readers.quality import read_corpus_checks
from flows.report.sections import Report
from flows.store.failed_warcs import failed_warcs
from flows.store.run_record import RunRecord
from flows.store.status import failed_lines, store_status
from tasks.dataset.manifest import decisions_folder
from tasks.dataset.store import Store
from tasks.fetch.fetch import DECISIONS
from tests.flows.report_stores import crawl, synthetic_web_run

LEXICON = "violence\t3\tharbour\nviolence\t4\twinter\nhate\t5\tno such word\n"
SECTIONS: dict[str, Any] = {
    "classifiers": {
        "quality": {"positive": ["builtin:quality-high.txt"], "negative": ["builtin:quality-low.txt"], "keep_top": 0.5},
        "spam": {"positive": ["builtin:quality-low.txt"], "negative": ["builtin:quality-high.txt"], "max_score": 0.99},
    },
    "personal_data": {"replace": ["emails"], "max_per_document": 0},
}


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, RunRecord]:
    folder = tmp_path_factory.mktemp("checked")
    (folder / "harm.tsv").write_text(LEXICON)
    harm = {"lexicon": str(folder / "harm.tsv"), "thresholds": {"violence": 1.0}}
    return Store(str(folder / "store")), crawl(folder / "store", {**SECTIONS, "harm": harm})


def decided(store: Store, record: RunRecord) -> list[dict[str, Any]]:
    folder = Path(store.root) / decisions_folder("corpus", record.stages["corpus"].plan.fingerprint)
    return [row for part in sorted(folder.iterdir()) for row in pq.read_table(part).to_pylist()]


def test_a_classifier_shows_its_metrics_and_its_threshold(checked: tuple[Store, RunRecord]) -> None:
    rows = decided(*checked)
    quality, spam = read_corpus_checks(*checked).classifiers
    assert (quality.name, quality.rule, spam.rule) == ("quality", "keep_top 0.5", "max_score 0.99")
    assert quality.metrics.auc is not None and 0.5 < quality.metrics.auc <= 1
    assert quality.held_out == quality.metrics.held_out_positives + quality.metrics.held_out_negatives > 0
    scored = [row for row in rows if row["score_quality"] is not None]
    assert quality.scored == len(scored)
    assert quality.removed == sum("classifier_quality" in row["reasons"] for row in rows) > 0
    assert quality.threshold is not None
    assert quality.threshold == min(r["score_quality"] for r in scored if "classifier_quality" not in r["reasons"])


def test_personal_data_and_harm_are_counted(checked: tuple[Store, RunRecord]) -> None:
    rows, checks = decided(*checked), read_corpus_checks(*checked)
    assert checks.documents == len(rows) and checks.personal_data is not None
    for kind in checks.personal_data.kinds:
        assert kind.found == sum(row[f"personal_data_{kind.kind}"] for row in rows)
        assert kind.placeholder == ("[EMAIL]" if kind.kind == "emails" else None)
    with_emails = sum(row["personal_data_emails"] > 0 for row in rows)
    assert checks.personal_data.rewritten == checks.personal_data.removed == with_emails > 0
    for harm in checks.harm:
        assert harm.documents == sum(row[f"harm_{harm.category}"] > 0 for row in rows)
        assert harm.removed == sum(f"harm_{harm.category}" in row["reasons"] for row in rows)
    violence = next(harm for harm in checks.harm if harm.category == "violence")
    assert violence.removed > 0 and violence.threshold == 1.0
    figures = {figure.what: figure.value for figure in eu_summary(checked[0]).figures}
    assert figures["Documents removed as harmful, by category"] == f"violence {violence.removed:,}"


def test_the_page_shows_them(checked: tuple[Store, RunRecord]) -> None:
    html = render(Report(*checked))
    for shown in ('id="quality"', "keep_top 0.5", "held-out AUC", "[EMAIL]", "self harm", "its AUC is rough"):
        assert shown in html


def test_a_recipe_without_checks_shows_none(tmp_path: Path) -> None:
    store, record = Store(str(tmp_path / "store")), synthetic_web_run(tmp_path / "store").record
    assert not read_corpus_checks(store, record)
    html = render(Report(store, record))
    assert 'id="quality"' not in html and "#quality" not in html


def _with_failures(store: Store, record: RunRecord) -> list[str]:
    """Let the run's first WARC be missing and its second one damaged; gives their paths."""
    plan = record.stages["fetch"].plan
    manifest = json.loads(store.read_bytes(f"{plan.folder}.manifest.json"))
    changes: list[tuple[dict[str, Any], dict[str, int]]] = [
        ({"kept": False, "reasons": ["missing"], "path": "a/<i>warc</i>\x1b[2J.gz"}, {"kept": 0, "failed": 1}),
        ({"damaged_at": 1234567}, {"damaged": 1}),
    ]
    paths = []
    for part, (decision, counters) in zip(manifest["parts"], changes, strict=True):
        path = Path(store.root) / decisions_folder("fetch", plan.fingerprint) / part["path"]
        (row,) = pq.read_table(path).to_pylist()
        pq.write_table(type(pq.read_table(path)).from_pylist([row | decision], DECISIONS), path)
        part["counters"] |= counters
        paths.append((row | decision)["path"])
    store.write_bytes(f"{plan.folder}.manifest.json", json.dumps(manifest).encode())
    return paths


def test_failed_and_damaged_warc_files_are_listed(tmp_path: Path) -> None:
    store, record = Store(str(tmp_path / "store")), synthetic_web_run(tmp_path / "store").record
    missing, damaged = _with_failures(store, record)
    html = render(Report(store, record))
    assert "1 left out, 1 damaged at the source" in html and "1 more could not be fetched" in html
    assert "left out, missing" in html and "damaged at the source from byte 1,234,567" in html and damaged in html
    assert "a/&lt;i&gt;warc&lt;/i&gt;" in html and missing not in html and "\x1b" not in html


def test_status_lists_them_too(tmp_path: Path) -> None:
    store, record = Store(str(tmp_path / "store")), synthetic_web_run(tmp_path / "store").record
    assert store_status(store).failed_warcs == []
    _with_failures(store, record)
    parts = [("part-00000.parquet", {"failed": 1}), ("part-00001.parquet", {"damaged": 1})]
    found = failed_warcs(store, "fetch", record.stages["fetch"].plan.fingerprint, [*parts, ("none", {})], most=20)
    assert [(warc.reason, warc.damaged_at) for warc in found] == [("missing", None), (None, 1234567)]
    status = store_status(store).model_copy(update={"failed_warcs": list(found)})
    lines = failed_lines(status)
    assert lines[0].startswith("left out, missing: a/<i>warc") and "\x1b" not in lines[0] and len(lines) == 2
    many = failed_lines(status.model_copy(update={"failed_warcs": [found[0]] * 40}))
    assert len(many) < 20 and many[-1].startswith("and 28 more")
