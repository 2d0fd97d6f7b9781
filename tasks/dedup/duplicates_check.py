"""The check for duplicates: keeps one document of each cluster, by what the stage `duplicates` found."""

import pyarrow as pa
import pyarrow.compute as pc

from tasks.dataset.document_check import CheckResult
from tasks.dataset.rules import is_one_of
from tasks.dataset.schemas import DUPLICATES
from tasks.dataset.stage import PartContext
from tasks.dedup.cluster_decisions import EXACT, NEAR, duplicates_table


class DuplicatesCheck:
    """Keeps one document of each cluster. `duplicate_of`: the id of the one that was kept in this one's place."""

    signals = pa.schema([("duplicate_of", pa.string())])

    def __init__(self, context: PartContext) -> None:
        self._context = context
        self._found: pa.Table | None = None

    def check(self, documents: pa.Table) -> CheckResult:
        """Look the documents up in the part's duplicates."""
        if self._found is None:
            self._found = pa.concat_tables([DUPLICATES.empty_table(), *self._context.input("duplicates")])
        found = duplicates_table(documents["id"], self._found)
        failing = {reason: is_one_of(found["reason"], (reason,)) for reason in (EXACT, NEAR)}
        kept_instead = pc.if_else(found["kept"], None, found["cluster"])
        return CheckResult(failing, pa.table([kept_instead], schema=self.signals))
