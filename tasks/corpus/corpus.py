"""corpus: the final kept documents; a decision for each that passed the filter, with all that its checks say.

Notable: duplicates are always judged, and their decisions name the document kept.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from tasks.base.config import Config
from tasks.classify.score_thresholds import ClassifierCheck, read_thresholds, scores_schema
from tasks.corpus.harm import HarmCheck, HarmConfig, read_lexicon
from tasks.dataset.data_files import read_data_file
from tasks.dataset.document_check import CheckResult, DocumentCheck, check_all
from tasks.dataset.manifest import part_path
from tasks.dataset.parts import read_part
from tasks.dataset.schemas import DOCUMENTS, DUPLICATES, decisions_schema
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.dedup.clusters import duplicates_table
from tasks.personal_data.judging import PersonalDataCheck
from tasks.personal_data.replacing import PersonalDataConfig


class CorpusConfig(Config):
    """What is judged beside duplicates; a section that the recipe does not have checks nothing."""

    harm: HarmConfig | None = None
    """Harmful content and bias."""
    personal_data: PersonalDataConfig | None = None
    """Personal data, which is also replaced."""


def run(context: PartContext) -> Iterator[Output]:
    """Documents in their order, and a decision for each."""
    checks = _checks(context)
    columns = decisions(context)
    for documents in context.input("filter"):
        verdicts = check_all(checks, documents)
        head = {
            "id": documents["id"],
            "stage": pa.array(["corpus"] * documents.num_rows, pa.string()),
            "kept": pa.array(verdicts.keeps, pa.bool_()),
            "reasons": pa.array(verdicts.reasons, pa.list_(pa.string())),
        }
        measured = {name: verdicts.signals[name] for name in verdicts.signals.column_names}
        yield Output(verdicts.kept, pa.table(head | measured, schema=columns), verdicts.counters)


def _checks(context: PartContext) -> list[DocumentCheck]:
    checks: list[DocumentCheck] = [DuplicatesCheck(context)]
    if "scores" in context.job.upstream:
        checks.append(_classifier_check(context))
    config = context.config(CorpusConfig)
    if config.harm:
        lexicon = read_lexicon(read_data_file(context.store, config.harm.lexicon), "harm.lexicon")
        checks.append(HarmCheck(config.harm, lexicon))
    if config.personal_data:
        checks.append(PersonalDataCheck(config.personal_data))  # the last: what it writes, nobody else need judge
    return checks


def _classifier_check(context: PartContext) -> ClassifierCheck:
    thresholds = [row for _, table in context.all_inputs("thresholds") for row in read_thresholds(table)]
    columns = scores_schema(threshold.name for threshold in thresholds)
    return ClassifierCheck(thresholds, pa.concat_tables([columns.empty_table(), *context.input("scores")]))


class DuplicatesCheck:
    """Lets one document of each cluster stay. `duplicate_of`: the id of the one that was kept in this one's place."""

    signals = pa.schema([("duplicate_of", pa.string())])

    def __init__(self, context: PartContext) -> None:
        self._context = context
        self._found: pa.Table | None = None

    def check(self, documents: pa.Table) -> CheckResult:
        """CheckResults from the duplicates dataset."""
        if self._found is None and documents.num_rows:
            self._found = self._verdicts_on_warc(documents["id"][0].as_py().rpartition(":")[0])
        found = DUPLICATES.empty_table() if self._found is None else self._found
        judged = duplicates_table(documents["id"], found)
        reasons = [[reason] if reason else [] for reason in judged["reason"].to_pylist()]
        kept_instead = pc.if_else(judged["kept"], None, judged["cluster"])
        return CheckResult(reasons, pa.table([kept_instead], schema=self.signals))

    def _verdicts_on_warc(self, warc: str) -> pa.Table:
        """The verdicts on one WARC's documents, which are all that a part has: few of a large crawl's."""
        path = part_path("duplicates", self._context.job.upstream["duplicates"], 0)
        # ":" ends the WARC's name in an id, and ";" is the character after it.
        here = (pc.field("id") >= f"{warc}:") & (pc.field("id") < f"{warc};")
        tables = (table.filter(here) for table in read_part(self._context.store, path))
        return pa.concat_tables([DUPLICATES.empty_table(), *tables])


def schema(context: PartContext) -> pa.Schema:
    """The columns of the corpus."""
    return DOCUMENTS


def decisions(context: PartContext) -> pa.Schema:
    """The columns of its decisions: the signals of all checks that the recipe asks for."""
    return decisions_schema([column for check in _checks(context) for column in check.signals])


STAGE = Stage(
    "corpus",
    1,
    (
        Upstream("filter"),
        Upstream("duplicates", all_parts=True),
        Upstream("scores", optional=True),
        Upstream("thresholds", all_parts=True, optional=True),
    ),
    run,
    schema,
    decisions,
)
