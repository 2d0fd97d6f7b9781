"""Parts of the stages of synthetic data, over a small corpus, with an endpoint of our own."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from tasks.base.fingerprint import digest
from tasks.dataset.manifest import decisions_folder, part_path, write_manifest
from tasks.dataset.parts import PartFooter, PartWriter, part_name
from tasks.dataset.schemas import DOCUMENTS
from tasks.dataset.stage import DatasetContext, PartInput, PartJob
from tasks.dataset.store import Store
from tasks.part_runner import run_part
from tasks.registry import STAGES
from tasks.synthesis.config import SynthesisConfig

QUICK = {"attempts": 3, "first_pause_seconds": 0.01, "longest_pause_seconds": 0.02, "timeout_seconds": 5}
QUICK |= {"requests_per_second": 1000, "concurrency": 4}


class OneSection(BaseModel):
    """What a stage of synthetic data reads of a recipe."""

    synthesis: SynthesisConfig


def text_of(number: int) -> str:
    """The text of a document."""
    return f"The town number {number} lies on a river. Its market is held on the bridge each week, and people come."


def write_corpus(folder: Path, documents: int = 12, parts: int = 2) -> Store:
    """A finished corpus of English documents."""
    store = Store(str(folder))
    footers = []
    for part in range(parts):
        shared = {"text_hash": "0" * 32, "language": "en"}
        rows = [{"id": f"W:{number}", "text": text_of(number)} | shared for number in range(part, documents, parts)]
        with PartWriter(store, part_path("corpus", "c" * 16, part), DOCUMENTS, "corpus", "c" * 16, "") as writer:
            writer.write(pa.Table.from_pylist(rows, schema=DOCUMENTS))
            footers.append(writer.commit({}))
    write_manifest(store, "corpus", "c" * 16, 1, {}, {}, footers)
    return store


def job(store: Store, stage: str, synthesis: Mapping[str, Any], index: int = 0, **upstream: str) -> PartJob:
    """The job of a part, for a recipe with this section."""
    requests = QUICK | synthesis.get("requests", {})
    section = SynthesisConfig.model_validate({**synthesis, "requests": requests})
    config = STAGES[stage].config_of(OneSection(synthesis=section))
    meaning = digest(STAGES[stage].meaning(config))[:16]
    parts = STAGES[stage].parts
    made_from = parts(DatasetContext(store, meaning, config, {}, {}, {})) if parts else [PartInput()] * (index + 1)
    read_from = made_from[index].read_from
    built_on = upstream or {"corpus": "c" * 16}
    return PartJob(store.url, stage, meaning, index, "inputs", config, built_on, read_from=read_from)


def built(store: Store, part: PartJob) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]], PartFooter]:
    """The rows of a part, its decisions by id, and its footer."""
    footer = run_part(part)
    rows = pq.read_table(store.full(part.path)).to_pylist()
    path = f"{decisions_folder(part.stage, part.fingerprint)}/{part_name(part.index)}"
    return rows, {row["id"]: row for row in pq.read_table(store.full(path)).to_pylist()}, footer


def write_prompts(path: Path, prompts: list[str]) -> str:
    """A file of prompts."""
    path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
    return str(path)
