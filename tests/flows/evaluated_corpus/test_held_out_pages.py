"""The held-out documents of a run's tokens, with what the corpus says of each."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from flows.evaluated_corpus.held_out_pages import HeldOutPage, held_out_pages
from flows.recipe.stage_plan import StagePlan
from tasks.dataset.manifest import part_path
from tasks.dataset.parts import PartWriter
from tasks.dataset.schemas import DOCUMENTS
from tasks.dataset.store import Store

TOKENS = pa.schema([("id", pa.string()), ("split", pa.string())])
FINGERPRINT = "0" * 16


def write(store: Store, stage: str, schema: pa.Schema, parts: list[list[dict[str, Any]]]) -> StagePlan:
    """A dataset of these parts, and its plan."""
    for index, rows in enumerate(parts):
        with PartWriter(store, part_path(stage, FINGERPRINT, index), schema, stage, FINGERPRINT, "") as writer:
            writer.write(pa.Table.from_pylist(rows, schema))
            writer.commit({})
    return StagePlan(name=stage, version=1, fingerprint=FINGERPRINT, config={}, job_config={}, upstream={})


def test_each_held_out_document_has_its_page_and_parts_may_be_empty(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    documents = [{"id": f"W:{n}", "text": f"Text {n}.", "domain": f"{n}.org", "language": "en"} for n in range(3)]
    split = [{"id": one["id"], "split": "train" if one["id"] == "W:1" else "validation"} for one in documents]
    other = [{"id": "O:1", "split": "validation"}]
    plans = {
        "corpus": write(store, "corpus", DOCUMENTS, [[], documents]),
        "tokens": write(store, "tokens", TOKENS, [[], split, other]),
    }
    expected = [HeldOutPage(f"{n}.org", "en", f"Text {n}.") for n in (0, 2)]
    assert list(held_out_pages(store, plans)) == [*expected, HeldOutPage()], "of another corpus only that it is there"
