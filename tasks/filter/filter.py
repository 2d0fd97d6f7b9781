"""filter: which documents are kept, with every signal measured and every rule failed for each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import xxhash

from tasks.dataset.data_files import read_data_file
from tasks.dataset.schemas import DOCUMENTS, decisions_schema
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.filter.measure_and_judge import FilterConfig, Filtered, filter_document
from tasks.filter.profiles import SIGNALS
from tasks.filter.stop_words import parse_stop_words

DECISIONS = decisions_schema(
    [
        pa.field("language", pa.string()),
        pa.field("language_score", pa.float32()),
        *(pa.field(name, kind) for name, kind in SIGNALS.items()),
    ]
)
"""Enough to judge every document again under other thresholds, without its text."""


def run(context: PartContext) -> Iterator[Output]:
    """Kept documents in their order, with the text that cleaning left, and a decision for each."""
    config = context.config(FilterConfig)
    stop_words = parse_stop_words(read_data_file(context.store, config.stop_words), config.stop_words)
    for documents in context.input("extract"):
        columns = (documents[name].to_pylist() for name in ("text", "language", "language_score"))
        judged = [
            filter_document(text, language, score, config, stop_words)
            for text, language, score in zip(*columns, strict=True)
        ]
        counters = Counter(f"removed.{reason}" for filtered in judged for reason in filtered.reasons)
        counters.update(read=len(judged), kept=sum(filtered.kept for filtered in judged))
        yield Output(_kept(documents, judged), _decisions(documents, judged), counters)


def _kept(documents: pa.Table, judged: list[Filtered]) -> pa.Table:
    kept = documents.filter(pa.array([filtered.kept for filtered in judged], pa.bool_()))
    texts = [filtered.text for filtered in judged if filtered.kept]
    hashes = [xxhash.xxh3_128_hexdigest(text.encode()) for text in texts]
    for name, values in (("text", texts), ("text_hash", hashes)):
        kept = kept.set_column(kept.schema.get_field_index(name), DOCUMENTS.field(name), pa.array(values, pa.string()))
    return kept


def _decisions(documents: pa.Table, judged: list[Filtered]) -> pa.Table:
    columns = {
        "id": documents["id"],
        "stage": pa.array(["filter"] * len(judged), pa.string()),
        "kept": pa.array([filtered.kept for filtered in judged], pa.bool_()),
        "reasons": pa.array([filtered.reasons for filtered in judged], pa.list_(pa.string())),
        "language": documents["language"],
        "language_score": documents["language_score"],
    }
    signals = {
        name: pa.array([filtered.signals[name] for filtered in judged], kind, safe=False)
        for name, kind in SIGNALS.items()
    }
    return pa.table(columns | signals, schema=DECISIONS)


STAGE = Stage(
    name="filter",
    version=2,
    upstream=(Upstream("extract"),),
    config_of=lambda recipe: recipe.filter,
    rows=DOCUMENTS,
    decisions=DECISIONS,
    run=run,
)
