"""The columns of synthetic data, and what all its stages do alike: a part's generator, decisions, counts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tasks.base.config import Config
from tasks.dataset.schemas import DOCUMENTS, decisions_schema
from tasks.dataset.stage import Output, PartContext
from tasks.synthesis.config import GeneratorConfig, OutputConfig, RequestsConfig, SynthesisConfig
from tasks.synthesis.generator import Generator, Share

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
PROVENANCE = [
    pa.field("source_ids", pa.list_(pa.string())),  # of the documents, prompts or responses it was made from
    pa.field("generator", pa.string()),  # the model's name, and the digest of its weights where it is our own
    pa.field("prompt_version", pa.string()),  # what was asked: names with digests (`prompts.prompt_version`)
    pa.field("seed", pa.int64()),
]
_SOURCE_HASH = pa.field("source_text_hash", pa.string())  # text_hash of the document
REPHRASED = pa.schema([*DOCUMENTS, pa.field("format", pa.string()), _SOURCE_HASH, *PROVENANCE])
CONVERSATIONS = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("messages", MESSAGES),
        pa.field("score", pa.float64()),  # that a model gave it; null where none was asked for
        *PROVENANCE,
    ]
)
PAIRS = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("prompt", MESSAGES),
        pa.field("chosen", pa.string()),
        pa.field("rejected", pa.string()),
        pa.field("margin", pa.float64()),  # of their scores
        *PROVENANCE,
    ]
)
DECISIONS = decisions_schema([])


class SynthesisStageConfig(Config):
    """What every stage of synthetic data reads."""

    generator: GeneratorConfig
    requests: RequestsConfig
    output: OutputConfig
    prompts: str
    """The prompts' digests, so that other words are another dataset."""

    @property
    def writer(self) -> str:
        """The generator as a row names it."""
        digest = self.generator.export_digest
        return f"{self.generator.model}@{digest}" if digest else self.generator.model

    def provenance(self, source_ids: list[str], prompt_version: str, seed: int | None = None) -> dict[str, Any]:
        """Return the columns `PROVENANCE` of a row; `seed`: of its request, where that is not the recipe's."""
        return {
            "source_ids": source_ids,
            "generator": self.writer,
            "prompt_version": prompt_version,
            "seed": self.generator.seed if seed is None else seed,
        }


def stage_config(synthesis: SynthesisConfig | None, section: str, prompts: str) -> dict[str, Any] | None:
    """Return what a stage reads of a recipe; None where the recipe has no such section."""
    own = synthesis and getattr(synthesis, section)
    if synthesis is None or own is None:
        return None
    shared = {name: getattr(synthesis, name).model_dump(mode="json") for name in ("generator", "requests", "output")}
    return shared | {"prompts": prompts, section: own.model_dump(mode="json")}


def part_generator(context: PartContext, config: SynthesisStageConfig, upstream: str) -> Generator:
    """Return the generator of a part, whose share of the budget follows the rows of the stage upstream."""
    rows = [part.rows for part in context.manifest(upstream).parts]
    share = Share(sum(rows[: context.job.index]), rows[context.job.index], sum(rows))
    return Generator(context.store, config.generator, config.requests, share)


@dataclass
class Made:
    """Rows and decisions as they are made."""

    stage: str
    schema: pa.Schema
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    decisions: list[Mapping[str, Any]] = field(default_factory=list)

    def add(self, id: str, row: Mapping[str, Any] | None, reasons: Sequence[str]) -> None:
        """Add what came of one request: a row that is kept, or the reasons against it."""
        kept = row is not None and not reasons
        if row is not None and kept:
            self.rows.append({"id": id, **row})
        self.decisions.append({"id": id, "stage": self.stage, "kept": kept, "reasons": list(reasons)})

    def output(self, spent: Mapping[str, int] | None = None) -> Output:
        """Return it, with the counts of what was spent where that is given."""
        removed = Counter(f"removed.{reason}" for one in self.decisions for reason in one["reasons"])
        counters = {"read": len(self.decisions), "kept": len(self.rows), **removed, **(spent or {})}
        return Output(
            pa.Table.from_pylist(self.rows, self.schema), pa.Table.from_pylist(self.decisions, DECISIONS), counters
        )
