"""The kinds of pages in the report: kept shares and rules by kind, and nothing where no kind is known."""

import pyarrow as pa

from flows.report.page import render
from flows.report.readers.page_kinds import KindCount, read_page_kinds
from flows.report.sections import Report
from flows.store.run_record import RunRecord
from tasks.dataset.manifest import decisions_folder
from tasks.dataset.parts import PartWriter, part_name
from tasks.dataset.store import Store
from tasks.filter.filter import DECISIONS
from tasks.filter.profiles import SIGNALS


def write_decisions(store: Store, record: RunRecord, rows: list[tuple[str | None, list[str]]]) -> None:
    """Make these (kind, reasons) the decisions of the filter."""
    plan = record.stages["filter"].plan
    folder = decisions_folder("filter", plan.fingerprint)
    for name in store.names(folder):
        store.remove(f"{folder}/{name}")
    measured = dict.fromkeys(SIGNALS, 1) | {"language": "en", "language_score": 1.0}
    decided = [
        measured | {"id": f"W:{place}", "kept": not reasons, "reasons": reasons, "kind": kind}
        for place, (kind, reasons) in enumerate(rows)
    ]
    with PartWriter(store, f"{folder}/{part_name(0)}", DECISIONS, "filter", plan.part_fingerprint, "i") as writer:
        writer.write(pa.Table.from_pylist(decided, DECISIONS))
        writer.commit({})


def test_each_kind_has_its_share_and_its_rules(copied: tuple[Store, RunRecord]) -> None:
    forum = [("forum", []), ("forum", ["c4_sentences", "gopher_hashes"]), ("forum", ["c4_sentences"])]
    write_decisions(*copied, [*forum, ("article", []), (None, ["c4_sentences"])])
    found = read_page_kinds(*copied)
    assert found == (
        KindCount("forum", 1, 2, (("c4_sentences", 2), ("gopher_hashes", 1))),
        KindCount("article", 1, 0, ()),
    )
    page = render(Report(*copied))
    assert "Kinds of pages" in page and "33%" in page and "c4_sentences ×2" in page


def test_without_kinds_there_is_no_section(copied: tuple[Store, RunRecord]) -> None:
    write_decisions(*copied, [(None, []), (None, ["c4_sentences"])])
    assert read_page_kinds(*copied) == ()
    assert "Kinds of pages" not in render(Report(*copied))
