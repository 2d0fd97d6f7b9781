"""corpus: the final kept documents; a decision for each that passed the filter, with all that its checks say.

Notable: duplicates are always removed, and their decisions name the document kept.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pydantic import Field

from tasks.base.config import Config
from tasks.classify.score_rules import ClassifierCheck, score_rules, scores_schema
from tasks.classify.thresholds import read_thresholds
from tasks.classify.training import ScoreRuleConfig
from tasks.corpus.harm import HarmCheck, HarmConfig, harm_rules, read_lexicon
from tasks.dataset.data_files import read_data_file
from tasks.dataset.document_check import DocumentCheck, check_all
from tasks.dataset.rules import Rule, reasons_column
from tasks.dataset.schemas import DOCUMENTS, decisions_schema
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.dedup.duplicates_check import DuplicatesCheck
from tasks.personal_data.check import PersonalDataCheck, personal_data_rules
from tasks.personal_data.replacing import PersonalDataConfig


class CorpusConfig(Config):
    """What is checked beside duplicates; a section that the recipe does not have checks nothing."""

    classifiers: dict[str, ScoreRuleConfig] = Field(default_factory=dict)
    """What each classifier's scores decide, by its name."""
    harm: HarmConfig | None = None
    """Harmful content and bias."""
    personal_data: PersonalDataConfig | None = None
    """Personal data, which is also replaced."""


RULE_FIELDS = ("classifiers", "harm.thresholds", "personal_data.max_per_document", "personal_data.replace")
"""Fields of `CorpusConfig` that `corpus_rules` reads."""


def corpus_rules(config: CorpusConfig) -> tuple[Rule, ...]:
    """Return what this stage decides by signals: all but duplicates, and with no share to keep at its score."""
    return (
        *score_rules(config.classifiers),
        *(harm_rules(config.harm) if config.harm else ()),
        *(personal_data_rules(config.personal_data) if config.personal_data else ()),
    )


def run(context: PartContext) -> Iterator[Output]:
    """Yield documents in their order, and a decision for each."""
    checks = _checks(context)
    columns = decisions(context)
    for documents in context.input("filter"):
        results = check_all(checks, documents)
        head = {
            "id": documents["id"],
            "stage": pa.array(["corpus"] * documents.num_rows, pa.string()),
            "kept": pa.array(results.keeps),
            "reasons": reasons_column(results.failing, documents.num_rows),
        }
        measured = {name: results.signals[name] for name in results.signals.column_names}
        yield Output(results.kept, pa.table(head | measured, schema=columns), results.counters)


def _checks(context: PartContext) -> list[DocumentCheck]:
    checks: list[DocumentCheck] = [DuplicatesCheck(context)]
    config = context.config(CorpusConfig)
    if config.classifiers:
        checks.append(_classifier_check(context, config))
    if config.harm:
        lexicon = read_lexicon(read_data_file(context.store, config.harm.lexicon), "harm.lexicon")
        checks.append(HarmCheck(config.harm, lexicon))
    if config.personal_data:
        checks.append(PersonalDataCheck(config.personal_data))  # the last: no other check need see what it writes
    return checks


def _classifier_check(context: PartContext, config: CorpusConfig) -> ClassifierCheck:
    shares = "thresholds" in context.job.upstream
    lowest = read_thresholds(table for _, table in context.all_inputs("thresholds")) if shares else {}
    rules = dict(zip(config.classifiers, score_rules(config.classifiers, lowest), strict=True))
    columns = scores_schema(config.classifiers)
    return ClassifierCheck(rules, pa.concat_tables([columns.empty_table(), *context.input("scores")]))


def schema(context: PartContext) -> pa.Schema:
    """Return the columns of the corpus."""
    return DOCUMENTS


def decisions(context: PartContext) -> pa.Schema:
    """Return the columns of its decisions: the signals of all checks that the recipe asks for."""
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
