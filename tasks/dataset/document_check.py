"""The last judgement: what the judges of the corpus stage have in common, and how their verdicts are put together.

Notable: every judge sees every document, so a decision names all that speaks against one. A judge may also rewrite
texts; the judges after it see what it wrote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import xxhash

from tasks.dataset.schemas import DOCUMENTS


@dataclass(frozen=True)
class CheckResult:
    """What one judge says of a table of documents, in their order."""

    reasons: list[list[str]]
    """Why each document must go; [] lets it stay."""
    signals: pa.Table
    """What was measured, a row for each document, with the columns of `DocumentCheck.signals`."""
    texts: list[str] | None = None
    """The texts rewritten; None leaves them as they are."""
    counters: Mapping[str, int] = field(default_factory=dict)
    """What to count for the report, over all documents of the table."""


class DocumentCheck(Protocol):
    """One of those who decide what the corpus holds."""

    @property
    def signals(self) -> pa.Schema:
        """The columns that this judge adds to the decisions."""

    def check(self, documents: pa.Table) -> CheckResult:
        """CheckResults on documents that passed the filter, with their texts as earlier judges left them."""


@dataclass(frozen=True)
class CheckResults:
    """All judges together."""

    kept: pa.Table
    """The documents against which nothing was said, with their final texts."""
    keeps: list[bool]
    reasons: list[list[str]]
    signals: pa.Table
    counters: Counter[str]


def check_all(checks: Sequence[DocumentCheck], documents: pa.Table) -> CheckResults:
    """Ask all `judges`, in their order, about `documents`."""
    reasons: list[list[str]] = [[] for _ in range(documents.num_rows)]
    signals: dict[str, pa.ChunkedArray] = {}
    counters: Counter[str] = Counter()
    for check in checks:
        judged = check.check(documents)
        reasons = [before + more for before, more in zip(reasons, judged.reasons, strict=True)]
        signals |= {name: judged.signals[name] for name in check.signals.names}
        counters.update(judged.counters)
        if judged.texts is not None:
            documents = _with_texts(documents, judged.texts)
    keeps = [not against for against in reasons]
    counters.update(f"removed.{reason}" for against in reasons for reason in against)
    counters.update(read=documents.num_rows, kept=sum(keeps))
    return CheckResults(documents.filter(pa.array(keeps, pa.bool_())), keeps, reasons, pa.table(signals), counters)


def _with_texts(documents: pa.Table, texts: list[str]) -> pa.Table:
    hashes = [xxhash.xxh3_128_hexdigest(text.encode()) for text in texts]
    for name, values in (("text", texts), ("text_hash", hashes)):
        column = documents.schema.get_field_index(name)
        documents = documents.set_column(column, DOCUMENTS.field(name), pa.array(values, pa.string()))
    return documents
