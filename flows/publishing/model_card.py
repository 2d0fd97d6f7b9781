"""The card of an exported model, as the Hugging Face Hub reads it: YAML for machines, then text for people.

Notable: every number is one that the store holds; what it does not hold is left out.
"""

from collections.abc import Iterator
from typing import Any

import yaml

from flows.publishing.markdown import escaped
from flows.report.readers.card import read_model_card
from flows.report.readers.evaluation import Evaluation, read_evaluation
from flows.store.datasets import count_dataset
from flows.store.missing import Missing, attempt
from flows.store.run_record import RunRecord
from flows.store.training_log import TRAINING_NAMES, stage_summary, training_stages
from tasks.dataset.store import Store

OTHER_LICENSE = "other"
"""What the Hub calls a licence that it does not know."""


def model_card(store: Store, record: RunRecord, license_id: str = OTHER_LICENSE) -> str:
    """Return README.md for the model that a run exported; `license_id` is the Hub's name of its licence."""
    languages = record.recipe.get("filter", {}).get("languages") or ()
    head: dict[str, Any] = {"license": license_id}
    if license_id == OTHER_LICENSE:
        head["license_name"] = "not-stated"
    if languages:
        head["language"] = list(languages)
    head |= {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["sluice"]}
    return f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n{_text(store, record)}"


def _text(store: Store, record: RunRecord) -> str:
    card = attempt("The model", read_model_card, store, record)
    evaluation = attempt("The evaluation", read_evaluation, store, record)
    is_chat = not isinstance(card, Missing) and card["is_finetuned"]
    name = str(record.recipe["name"]) if isinstance(card, Missing) else card["name"]
    kind = "finetuned to chat" if is_chat else "not finetuned"
    shape = "" if isinstance(card, Missing) else f" in {card['family']}'s shape"
    facts = [*_model_facts(card, evaluation), *_data_facts(store, record, card), *_training_facts(store, record)]
    rows = "\n".join(f"| {what} | {escaped(value)} |" for what, value in facts)
    measured = "".join(f"- {line}\n" for line in _measured(evaluation)) or "Not evaluated.\n"
    return f"""# {escaped(name)}

A language model{shape}, {kind}, trained by Sluice {record.versions.get("sluice", "")}.

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer, model = AutoTokenizer.from_pretrained(FOLDER), AutoModelForCausalLM.from_pretrained(FOLDER)
```

| | |
|---|---|
{rows}

## Measured

{measured}
## Limits

It makes things up, repeats what its pages said, and was not trained to refuse harmful requests. The texts that it was
trained on belong to the pages' authors: expect bias, personal data and text under other people's copyright.
"""


def _model_facts(card: dict[str, Any] | Missing, evaluation: Evaluation | Missing) -> Iterator[tuple[str, str]]:
    if not isinstance(evaluation, Missing) and evaluation.parameters:
        yield "parameters", f"{evaluation.parameters:,}"
    if not isinstance(card, Missing):
        yield "shape", ", ".join(f"{name} {value}" for name, value in card["shape"].items())


def _data_facts(store: Store, record: RunRecord, card: dict[str, Any] | Missing) -> Iterator[tuple[str, str]]:
    if not isinstance(card, Missing) and card["base"]:
        yield "base model", card["base"]
    if "corpus" not in record.stages:
        yield "trained on", "conversations alone"
        return
    yield "trained on", record.crawl
    if not isinstance(card, Missing):
        yield "languages; filter profiles", f"{card['languages']}; {card['profiles']}"
    for stage, what, counter in (
        ("fetch", "files read", None),
        ("extract", "records read", "read"),
        ("corpus", "documents", None),
        ("tokens", "tokens", "tokens"),
        ("tokens", "tokens to train on, the rest held out", "train_tokens"),
        ("tokens", "bytes of text", "bytes"),
    ):
        found = attempt(stage, count_dataset, store, record, stage)
        if found is not None and not isinstance(found, Missing):
            yield what, f"{found.counters[counter] if counter else found.rows:,}"


def _training_facts(store: Store, record: RunRecord) -> Iterator[tuple[str, str]]:
    for stage in training_stages(record):
        summary = attempt(stage, stage_summary, store, record, stage)
        if not isinstance(summary, Missing) and summary:
            yield TRAINING_NAMES[stage], f"{summary['tokens']:,} tokens in {summary['steps']:,} steps"
    yield "run", record.run


def _measured(evaluation: Evaluation | Missing) -> Iterator[str]:
    if isinstance(evaluation, Missing):
        return
    if validation := evaluation.validation:
        yield (
            f"{validation.bits_per_byte:.3f} bits per byte on {validation.documents:,} held-out documents of the same"
            f" corpus; token frequencies alone {validation.unigram_bits_per_byte:.3f}"
        )
    for group in evaluation.groups:
        yield f"{group.right:,} of {group.n:,} questions right ({escaped(group.group)})"
    for task in evaluation.tasks:
        for one in task.metrics:
            of = f"95% interval {one.low:.3g} to {one.high:.3g}, {task.items:,} items"
            yield f"{escaped(task.task)}, {task.shots}-shot, {one.metric}: {one.value:.4g} ({of})"
