"""The held-out documents of a run's tokens, by the corpus that they come from: domain, language, text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from flows.recipe.stage_plan import StagePlan
from tasks.dataset.manifest import part_names, part_path
from tasks.dataset.parts import read_part
from tasks.dataset.store import Store


@dataclass(frozen=True)
class HeldOutPage:
    """A held-out document; of another corpus in the mixture only that it is there."""

    domain: str | None = None
    language: str | None = None
    text: str = ""


def held_out_pages(store: Store, plans: Mapping[str, StagePlan]) -> Iterator[HeldOutPage]:
    """Yield the held-out documents in the order of the tokens dataset."""
    tokens, corpus = plans["tokens"], plans["corpus"]
    own_parts = len(part_names(store, corpus.folder))
    for index in range(len(part_names(store, tokens.folder))):
        path = part_path("tokens", tokens.fingerprint, index)
        held_out = pc.field("split") == "validation"
        ids = [
            id for table in read_part(store, path, ["id", "split"]) for id in table.filter(held_out)["id"].to_pylist()
        ]
        pages: dict[str, HeldOutPage] = {}
        if index < own_parts and ids:
            columns = ["id", "domain", "language", "text"]
            for table in read_part(store, part_path("corpus", corpus.fingerprint, index), columns):
                for row in table.filter(pc.is_in(table["id"], value_set=pa.array(ids))).to_pylist():
                    pages[row["id"]] = HeldOutPage(row["domain"], row["language"], row["text"])
        yield from (pages.get(id, HeldOutPage()) for id in ids)
