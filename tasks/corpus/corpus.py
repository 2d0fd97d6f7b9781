"""corpus: the final kept documents; a decision for each that passed the filter, with all that its checks say.

Notable: duplicates are always judged, and their decisions name the document kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa

from tasks.base.config import Config
from tasks.classify.score_thresholds import ClassifierCheck, read_thresholds, scores_schema
from tasks.corpus.harm import HarmCheck, HarmConfig, read_lexicon
from tasks.dataset.data_files import read_data_file
from tasks.dataset.document_check import DocumentCheck, check_all
from tasks.dataset.schemas import DOCUMENTS, decisions_schema
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.dedup.keep_one import DuplicatesCheck
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


class _Recipe(Protocol):
    harm: HarmConfig | None
    personal_data: PersonalDataConfig | None


def _config(recipe: _Recipe) -> CorpusConfig:
    """Return the sections of the checks."""
    return CorpusConfig(harm=recipe.harm, personal_data=recipe.personal_data)


def decisions(context: PartContext) -> pa.Schema:
    """The columns of its decisions: the signals of all checks that the recipe asks for."""
    return decisions_schema([column for check in _checks(context) for column in check.signals])


def _has_classifiers(recipe: Any) -> bool:
    return bool(recipe.classifiers)


STAGE = Stage(
    name="corpus",
    version=1,
    upstream=(
        Upstream("filter"),
        Upstream("duplicates", all_parts=True),
        Upstream("scores", when=_has_classifiers),
        Upstream("thresholds", all_parts=True, when=_has_classifiers),
    ),
    config_of=_config,
    rows=DOCUMENTS,
    decisions=decisions,
    run=run,
)
