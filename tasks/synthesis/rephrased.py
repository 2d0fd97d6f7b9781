"""rephrased: documents of the corpus written anew as questions and answers, mathematics, tables or tutorials.

Notable: a rephrased document has the columns of a document, so a mixture takes the set like any other corpus; its id is
that of its document and the format, so it leads to the same WARC record.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import xxhash

from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.synthesis.config import Format, RephraseConfig
from tasks.synthesis.documents import beginning, shown_documents
from tasks.synthesis.output_checks import OutputChecks
from tasks.synthesis.prompts import prompt, prompt_version
from tasks.synthesis.rows import DECISIONS, REPHRASED, Made, SynthesisStageConfig, part_generator, stage_config

_VERSION = prompt_version("faq", "math", "table", "tutorial")


class RephrasedConfig(SynthesisStageConfig):
    """The shared fields, and the section."""

    rephrase: RephraseConfig


def run(context: PartContext) -> Iterator[Output]:
    """Yield each document that was drawn in its formats."""
    config = context.config(RephrasedConfig)
    section, seed = config.rephrase, config.generator.seed
    checks = OutputChecks(config.output, context.store)
    with part_generator(context, config, "corpus") as generator:
        for documents in shown_documents(context, section, seed):
            made = Made("rephrased", REPHRASED)
            asked = [(row, name) for row, number in documents for name in _formats(section, number)]
            requests = (prompt(name, seed, text=beginning(row["text"], section)) for row, name in asked)
            for (row, name), reply in zip(asked, generator.replies(requests), strict=True):
                written = _written(row, reply.text.strip(), name)
                provenance = config.provenance([row["id"]], prompt_version(name))
                made.add(f"{row['id']}#{name}", written | provenance, checks.reasons(reply, row["language"]))
            yield made.output()
        yield Output(counters=generator.counters)


def _formats(section: RephraseConfig, number: int) -> tuple[Format, ...]:
    """Return the formats that a document with this number is written in."""
    choices = list(combinations(section.formats, min(section.formats_per_document, len(section.formats))))
    return choices[number % len(choices)]


def _written(document: dict[str, Any], text: str, name: Format) -> dict[str, Any]:
    """Return a document's row with another text."""
    own = {column: value for column, value in document.items() if column not in ("id", "extraction_score")}
    own |= {"source_text_hash": document["text_hash"], "format": name}
    return own | {"text": text, "text_hash": xxhash.xxh3_128_hexdigest(text.encode())}


STAGE = Stage(
    name="rephrased",
    version=2,
    upstream=(Upstream("corpus"),),
    config_of=lambda recipe: stage_config(recipe.synthesis, "rephrase", _VERSION),
    pace=("requests",),
    rows=REPHRASED,
    decisions=DECISIONS,
    run=run,
)
