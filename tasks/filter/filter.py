"""filter: which documents are kept, with every signal measured and every rule failed for each of them."""

from collections.abc import Iterator

import pyarrow as pa

from tasks.dataset.data_files import read_data_file
from tasks.dataset.document_check import decide_by_rules, with_texts
from tasks.dataset.schemas import DOCUMENTS, decisions_schema
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.filter.config import RULE_FIELDS, FilterConfig, filter_rules
from tasks.filter.measure import measure
from tasks.filter.own_rules import measure_own, own_signals, recorded_rules
from tasks.filter.profiles import SIGNALS
from tasks.filter.stop_word_lists import StopWords, parse_stop_words

DECISIONS = decisions_schema(
    [
        pa.field("language", pa.string()),
        pa.field("language_score", pa.float32()),
        pa.field("kind", pa.string()),  # of page, as extraction found it
        *(pa.field(name, kind) for name, kind in SIGNALS.items()),
    ]
)
"""Enough to decide on every document again under other thresholds, without its text."""


def run(context: PartContext) -> Iterator[Output]:
    """Yield kept documents in their order, with the text that cleaning left, and a decision for each document."""
    config = context.config(FilterConfig)
    stop_words = parse_stop_words(read_data_file(context.store, config.stop_words), config.stop_words)
    for documents in context.input("extract"):
        yield filter_documents(documents, config, stop_words)


def filter_documents(documents: pa.Table, config: FilterConfig, stop_words: StopWords | None = None) -> Output:
    """Measure documents, then apply all rules to the columns of their signals; by default with our own stop words."""
    texts, languages = documents["text"].to_pylist(), documents["language"].to_pylist()
    measured = [measure(text, language, config, stop_words) for text, language in zip(texts, languages, strict=True)]
    columns = {name: documents[name] for name in ("id", "language", "language_score")}
    columns["kind"] = documents["kind"] if "kind" in documents.column_names else pa.nulls(len(documents), pa.string())
    columns |= measure_own(config, documents)
    columns |= {name: pa.array([m.signals[name] for m in measured], kind, safe=False) for name, kind in SIGNALS.items()}
    schema = _decisions(config)
    output = decide_by_rules("filter", documents, pa.table(columns), filter_rules(config))
    assert output.rows is not None and output.decisions is not None
    kept = output.decisions["kept"].to_pylist()
    texts_after = [one.text_after for one, stays in zip(measured, kept, strict=True) if stays]
    decisions = output.decisions.select(schema.names).cast(schema)
    return Output(with_texts(output.rows, texts_after), decisions, output.counters)


def _decisions(config: FilterConfig) -> pa.Schema:
    """Return the columns of the decisions, the user's own signals among them."""
    return pa.schema([*DECISIONS, *(pa.field(name, kind) for name, kind in own_signals(config).items())])


STAGE = Stage(
    name="filter",
    version=4,
    upstream=(Upstream("extract"),),
    config_of=lambda recipe: recipe.filter,
    rows=DOCUMENTS,
    decisions=lambda context: _decisions(context.config(FilterConfig)),
    run=run,
    rules=lambda configs: filter_rules(FilterConfig.model_validate(configs["filter"]), recorded_rules),
    rule_fields=RULE_FIELDS,
)
