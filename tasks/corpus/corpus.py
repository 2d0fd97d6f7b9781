"""corpus: the final kept documents; a decision for each that passed the filter, with all that its checks say.

Notable: duplicates are always removed, and their decisions name the document kept.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol

import pyarrow as pa
from pydantic import Field

from tasks.base.config import Config
from tasks.base.errors import PermanentError
from tasks.classify.lowest_kept import read_lowest_kept
from tasks.classify.score_rules import ClassifierCheck, score_rules, scores_schema
from tasks.classify.training import ClassifierConfig, ScoreRuleConfig
from tasks.contamination.check import ContaminationCheck, ContaminationConfig
from tasks.contamination.items import ItemIndex, read_items
from tasks.corpus.harm import HarmCheck, HarmConfig, harm_rules, read_lexicon
from tasks.dataset.data_files import read_data_file
from tasks.dataset.document_check import DocumentCheck, check_all
from tasks.dataset.rules import Rule, reasons_column
from tasks.dataset.schemas import DOCUMENTS, decisions_schema
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.dataset.store import Store
from tasks.dedup.duplicates_check import DuplicatesCheck
from tasks.personal_data.check import PersonalDataCheck, personal_data_rules
from tasks.personal_data.replacing import PersonalDataConfig


class CorpusConfig(Config):
    """What is checked beside duplicates; a section that the recipe does not have checks nothing."""

    classifiers: dict[str, ScoreRuleConfig] = Field(default_factory=dict)
    """What each classifier's scores decide, by its name."""
    harm: HarmConfig | None = None
    """Harmful content and bias."""
    contamination: ContaminationConfig | None = None
    """Evaluation items."""
    personal_data: PersonalDataConfig | None = None
    """Personal data, which is also replaced."""


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
    if config.contamination:
        checks.append(ContaminationCheck(config.contamination, _item_index(context.store, config.contamination)))
    if config.personal_data:
        checks.append(PersonalDataCheck(config.personal_data))  # the last: no other check need see what it writes
    return checks


def _classifier_check(context: PartContext, config: CorpusConfig) -> ClassifierCheck:
    shares = "thresholds" in context.job.upstream
    lowest = read_lowest_kept(table for _, table in context.all_inputs("thresholds")) if shares else {}
    rules = dict(zip(config.classifiers, score_rules(config.classifiers, lowest), strict=True))
    columns = scores_schema(config.classifiers)
    return ClassifierCheck(rules, pa.concat_tables([columns.empty_table(), *context.input("scores")]))


def _item_index(store: Store, config: ContaminationConfig) -> ItemIndex:
    if config.items is None:
        raise PermanentError("contamination.items is not there: the run that plans this stage writes them.")
    return _read_index(store.read_bytes(config.items), config.items)


@lru_cache(maxsize=2)
def _read_index(content: bytes, where: str) -> ItemIndex:
    return ItemIndex(read_items(content, where))


def decisions(context: PartContext) -> pa.Schema:
    """Return the columns of its decisions: the signals of all checks that the recipe asks for."""
    return decisions_schema([column for check in _checks(context) for column in check.signals])


class _Recipe(Protocol):
    classifiers: dict[str, ClassifierConfig]
    harm: HarmConfig | None
    contamination: ContaminationConfig | None
    personal_data: PersonalDataConfig | None


def _config(recipe: _Recipe) -> CorpusConfig:
    """Return the sections of the checks, and what each classifier's scores decide."""
    rules = {
        name: ScoreRuleConfig.model_validate(rule.model_dump(include=set(ScoreRuleConfig.model_fields)))
        for name, rule in sorted(recipe.classifiers.items())
    }
    return CorpusConfig(
        classifiers=rules, harm=recipe.harm, contamination=recipe.contamination, personal_data=recipe.personal_data
    )


def _keeps_shares(recipe: _Recipe) -> bool:
    return any(rule.keep_top for rule in recipe.classifiers.values())


STAGE = Stage(
    name="corpus",
    version=1,
    upstream=(
        Upstream("filter"),
        Upstream("duplicates"),
        Upstream("scores", when=lambda recipe: bool(recipe.classifiers)),
        Upstream("thresholds", all_parts=True, when=_keeps_shares),
    ),
    config_of=_config,
    rows=DOCUMENTS,
    decisions=decisions,
    run=run,
    rules=lambda configs: corpus_rules(CorpusConfig.model_validate(configs["corpus"])),
    rule_fields=("classifiers", "harm.thresholds", "personal_data.max_per_document", "personal_data.replace"),
)
