"""The check for duplicates: keeps one document of each cluster, by what the stage `duplicates` found."""

import pyarrow as pa
import pyarrow.compute as pc

from tasks.dataset.document_check import CheckResult
from tasks.dataset.manifest import part_path
from tasks.dataset.parts import read_part
from tasks.dataset.rules import is_one_of
from tasks.dataset.schemas import DUPLICATES
from tasks.dataset.stage import PartContext
from tasks.dedup.clusters import EXACT, NEAR, duplicates_table


class DuplicatesCheck:
    """Keeps one document of each cluster. `duplicate_of`: the id of the one that was kept in this one's place."""

    signals = pa.schema([("duplicate_of", pa.string())])

    def __init__(self, context: PartContext) -> None:
        self._context = context
        self._found: pa.Table | None = None

    def check(self, documents: pa.Table) -> CheckResult:
        """Look the documents up in the duplicates dataset."""
        if self._found is None and documents.num_rows:
            self._found = self._duplicates_of_warc(documents["id"][0].as_py().rpartition(":")[0])
        found = duplicates_table(documents["id"], DUPLICATES.empty_table() if self._found is None else self._found)
        failing = {reason: is_one_of(found["reason"], (reason,)) for reason in (EXACT, NEAR)}
        kept_instead = pc.if_else(found["kept"], None, found["cluster"])
        return CheckResult(failing, pa.table([kept_instead], schema=self.signals))

    def _duplicates_of_warc(self, warc: str) -> pa.Table:
        """Return the rows on one WARC's documents, which are all that a part has: few of a large crawl's."""
        path = part_path("duplicates", self._context.job.upstream["duplicates"], 0)
        # ":" ends the WARC's name in an id, and ";" is the character after it.
        here = (pc.field("id") >= f"{warc}:") & (pc.field("id") < f"{warc};")
        tables = (table.filter(here) for table in read_part(self._context.store, path))
        return pa.concat_tables([DUPLICATES.empty_table(), *tables])
