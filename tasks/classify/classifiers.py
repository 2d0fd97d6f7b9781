"""classifiers: trains every classifier that the recipe names; a row for each, with its model and its metrics.

Notable: this crawl's filtered documents are read only where a classifier takes negatives from them. Otherwise the stage
builds on nothing but the recipe's files, and a classifier is trained once for all crawls.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa
import xxhash

from tasks.base.errors import PermanentError
from tasks.base.hashing import text_hash_words
from tasks.classify.linear_model import model_bytes
from tasks.classify.training import ClassifierConfig, Metrics, TrainingConfig, train_classifier
from tasks.classify.training_sets import TextSample, read_set
from tasks.dataset.stage import Output, PartContext, Stage, Upstream

ROWS = pa.schema(
    [
        ("name", pa.string()),
        ("model", pa.binary()),  # a safetensors file
        ("digest", pa.string()),  # xxh3-128 of the model
        ("metrics", pa.string()),  # JSON: `Metrics`
    ]
)


def run(context: PartContext) -> Iterator[Output]:
    """Train the classifiers one after the other, and yield a row for each."""
    for name, values in context.job.config["classifiers"].items():
        config = TrainingConfig.model_validate(values)
        trained = train_classifier(*_examples(context, name, config), config, name)
        data = model_bytes(trained.model)
        row = [name, data, xxhash.xxh3_128_hexdigest(data), trained.metrics.model_dump_json()]
        rows = pa.table([pa.array([value], column.type) for value, column in zip(row, ROWS, strict=True)], schema=ROWS)
        yield Output(rows, counters=_counters(name, trained.metrics))


def _examples(context: PartContext, name: str, config: TrainingConfig) -> tuple[list[str], list[str]]:
    """Return the positives and the negatives."""
    found = []
    for side, files in (("positive", config.positive), ("negative", config.negative)):
        sample = TextSample(config.max_documents, config.seed, config.max_chars)
        read_set(context.store, files, config.text_field, f"classifiers.{name}.{side}", sample)
        found.append(sample.texts())
    if config.negatives_from_corpus:
        found[1] += _from_corpus(context, name, config)
    return found[0], found[1]


def _from_corpus(context: PartContext, name: str, config: TrainingConfig) -> list[str]:
    sample = TextSample(config.negatives_from_corpus, config.seed, config.max_chars)
    for _, documents in context.all_inputs("filter", ["text", "text_hash"]):
        sample.add_keyed(text_hash_words(documents["text_hash"])[:, 0], documents["text"])
    texts = sample.texts()
    if not texts:
        raise PermanentError(
            f"classifiers.{name}.negatives_from_corpus: no document passed the filter, so there is none to learn from. "
            "Loosen the recipe's filter, or read more WARCs."
        )
    return texts


def _counters(name: str, metrics: Metrics) -> dict[str, int]:
    """Return the metrics as the whole numbers that a manifest holds."""
    counts = metrics.model_dump(exclude={"auc"})
    if metrics.auc is not None:
        counts["auc_in_10000ths"] = round(10_000 * metrics.auc)
    return {f"{name}.{key}": int(value) for key, value in counts.items()}


class _Recipe(Protocol):
    classifiers: dict[str, ClassifierConfig]


def _config(recipe: _Recipe) -> dict[str, Any] | None:
    """Return how each classifier is trained; None where the recipe has none."""
    training = {
        name: config.model_dump(mode="json", include=set(TrainingConfig.model_fields))
        for name, config in sorted(recipe.classifiers.items())
    }
    return {"classifiers": training} if training else None


def _learns_from_corpus(recipe: _Recipe) -> bool:
    return any(config.negatives_from_corpus for config in recipe.classifiers.values())


STAGE = Stage(
    name="classifiers",
    version=2,
    upstream=(Upstream("filter", all_parts=True, when=_learns_from_corpus),),
    config_of=_config,
    memory="the examples of one classifier: fewer of its max_documents make it smaller",
    rows=ROWS,
    run=run,
)
