"""Checks on the documents that passed the filter: what they have in common, and how their results are put together.

Notable: every check sees every document, so a decision names all its reasons. A check may also rewrite texts; the
checks after it see what it wrote.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import xxhash

from tasks.dataset.rules import Bools, Rule, apply_rules, passing, reasons_column
from tasks.dataset.schemas import DOCUMENTS
from tasks.dataset.stage import Output


@dataclass(frozen=True)
class CheckResult:
    """What one check found in a table of documents, in their order."""

    failing: Mapping[str, Bools]
    """Which documents fail, by reason and in the order of the reasons."""
    signals: pa.Table
    """What was measured, a row for each document, with the columns of `DocumentCheck.signals`."""
    texts: list[str] | None = None
    """The texts rewritten; None leaves them as they are."""
    counters: Mapping[str, int] = field(default_factory=dict)
    """What to count for the report, over all documents of the table."""


class DocumentCheck(Protocol):
    """One of the checks that decide what the corpus holds."""

    @property
    def signals(self) -> pa.Schema:
        """The columns that this check adds to the decisions."""

    def check(self, documents: pa.Table) -> CheckResult:
        """Check documents that passed the filter, with their texts as earlier checks left them."""


@dataclass(frozen=True)
class CheckResults:
    """The results of all checks."""

    kept: pa.Table
    """The documents that failed no check, with their final texts."""
    keeps: Bools
    """Which documents those are."""
    failing: Mapping[str, Bools]
    signals: pa.Table
    counters: Counter[str]


def check_all(checks: Sequence[DocumentCheck], documents: pa.Table) -> CheckResults:
    """Run all `checks`, in their order, on `documents`; no two checks give the same reason."""
    failing: dict[str, Bools] = {}
    signals: dict[str, pa.ChunkedArray] = {}
    counters: Counter[str] = Counter()
    for check in checks:
        result = check.check(documents)
        failing |= result.failing
        signals |= {name: result.signals[name] for name in check.signals.names}
        counters.update(result.counters)
        if result.texts is not None:
            documents = with_texts(documents, result.texts)
    keeps = passing(failing.values(), documents.num_rows)
    counters.update(count_decisions(failing, keeps))
    return CheckResults(documents.filter(pa.array(keeps)), keeps, failing, pa.table(signals), counters)


def decide_by_rules(stage: str, documents: pa.Table, signals: pa.Table, rules: Iterable[Rule]) -> Output:
    """Return the documents that fail no rule over their signals, and a decision for each document."""
    failing = apply_rules(rules, signals)
    keeps = passing(failing.values(), documents.num_rows)
    head = {
        "id": documents["id"],
        "stage": pa.array([stage] * documents.num_rows, pa.string()),
        "kept": pa.array(keeps),
        "reasons": reasons_column(failing, documents.num_rows),
    }
    measured = {name: signals[name] for name in signals.column_names}
    return Output(documents.filter(pa.array(keeps)), pa.table(head | measured), count_decisions(failing, keeps))


def count_decisions(failing: Mapping[str, Bools], keeps: Bools) -> Counter[str]:
    """Return how many documents were read and kept, and how many were removed for each reason."""
    counts = Counter({f"removed.{reason}": int(fails.sum()) for reason, fails in failing.items() if fails.any()})
    counts.update(read=len(keeps), kept=int(keeps.sum()))
    return counts


def with_texts(documents: pa.Table, texts: list[str]) -> pa.Table:
    """Return `documents` with other texts, and their hashes."""
    hashes = [xxhash.xxh3_128_hexdigest(text.encode()) for text in texts]
    for name, values in (("text", texts), ("text_hash", hashes)):
        column = documents.schema.get_field_index(name)
        documents = documents.set_column(column, DOCUMENTS.field(name), pa.array(values, pa.string()))
    return documents
