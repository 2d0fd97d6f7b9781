"""The corpus stage: duplicates go, texts are rewritten, the signals of every check are in the decisions."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from tasks.base.errors import UsageError
from tasks.dataset.manifest import decisions_folder, part_path
from tasks.dataset.parts import PartFooter, PartWriter, part_name
from tasks.dataset.schemas import DOCUMENTS, DUPLICATES
from tasks.dataset.stage import PartJob
from tasks.dataset.store import Store
from tasks.part_runner import run_part

UPSTREAM = {"filter": "a" * 16, "duplicates": "b" * 16}
FINGERPRINT = "c" * 16
TEXTS = {
    "W:1": "Nothing to see in the harbour.",
    "W:2": "Write to post@tolvane.de or call +44 20 7946 0958.",
    "W:3": "Write to post@tolvane.de or call +44 20 7946 0958!",
    "W:4": "a@tolvane.de b@tolvane.de c@tolvane.de. I will kill you, and then kill you.",
}


def built(folder: Path, config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], PartFooter]:
    """Kept documents and decisions by id, and the part's footer."""
    store = Store(str(folder))
    documents = [{"id": id, "text": text, "text_hash": "0" * 32} for id, text in TEXTS.items()]
    duplicates = [{"id": "W:3", "kept": False, "cluster": "W:2", "reason": "near_duplicate"}]
    for stage, rows, schema in (("filter", documents, DOCUMENTS), ("duplicates", duplicates, DUPLICATES)):
        with PartWriter(store, part_path(stage, UPSTREAM[stage], 0), schema, stage, UPSTREAM[stage], "") as writer:
            writer.write(pa.Table.from_pylist(rows, schema=schema))
            writer.commit({})
    job = PartJob(str(folder), "corpus", FINGERPRINT, 0, "inputs", config, UPSTREAM)
    footer = run_part(job)
    paths = (job.path, f"{decisions_folder('corpus', FINGERPRINT)}/{part_name(0)}")
    kept, decided = ({row["id"]: row for row in pq.read_table(folder / path).to_pylist()} for path in paths)
    return kept, decided, footer


def test_without_sections_only_duplicates_are_checked(tmp_path: Path) -> None:
    kept, decided, footer = built(tmp_path, {})
    assert {id: row["text"] for id, row in kept.items()} == {id: TEXTS[id] for id in ("W:1", "W:2", "W:4")}
    assert list(decided["W:3"]) == ["id", "stage", "kept", "reasons", "duplicate_of"]
    assert decided["W:3"]["reasons"] == ["near_duplicate"] and decided["W:3"]["duplicate_of"] == "W:2"
    assert footer.counters == {"read": 4, "kept": 3, "removed.near_duplicate": 1}


def test_personal_data_is_replaced_counted_and_too_much_of_it_removed(tmp_path: Path) -> None:
    kept, decided, footer = built(tmp_path, {"personal_data": {"replace": ["emails"], "max_per_document": 2}})
    assert kept["W:1"]["text"] == TEXTS["W:1"]
    assert kept["W:2"]["text"] == "Write to [EMAIL] or call +44 20 7946 0958."
    assert all(row["text_hash"] == xxhash.xxh3_128_hexdigest(row["text"].encode()) for row in kept.values())
    assert decided["W:4"]["reasons"] == ["personal_data"]
    assert decided["W:3"]["reasons"] == ["near_duplicate"]
    counts = {id: (row["personal_data_emails"], row["personal_data_phone_numbers"]) for id, row in decided.items()}
    assert counts == {"W:1": (0, 0), "W:2": (1, 1), "W:3": (1, 1), "W:4": (3, 0)}
    assert footer.counters["personal_data.emails"] == 5
    assert footer.counters["personal_data.phone_numbers"] == 2
    assert footer.counters["personal_data.documents"] == 3
    assert footer.counters["removed.personal_data"] == 1


def test_harm_is_scored_on_the_text_as_it_was_and_every_reason_is_named(tmp_path: Path) -> None:
    config = {
        "harm": {"thresholds": {"violence": 5}},
        "personal_data": {"replace": ["emails"], "max_per_document": 0},
    }
    kept, decided, footer = built(tmp_path, config)
    assert list(kept) == ["W:1"]
    assert decided["W:4"]["reasons"] == ["harm_violence", "personal_data"]
    assert decided["W:4"]["harm_violence"] == 30.0  # twice a term of weight 3, in what counts as 200 words
    assert decided["W:2"]["harm_violence"] == decided["W:2"]["harm_bias"] == 0.0
    assert footer.counters["harm.violence"] == footer.counters["removed.harm_violence"] == 1


def test_a_lexicon_of_the_user_s_own(tmp_path: Path) -> None:
    lexicon = tmp_path / "own.tsv"
    lexicon.write_text("hate\t1\tharbour\n")
    _, decided, _ = built(tmp_path / "good", {"harm": {"lexicon": str(lexicon), "thresholds": {"hate": 1}}})
    assert decided["W:1"]["reasons"] == ["harm_hate"]
    lexicon.write_text("hate harbour\n")
    with pytest.raises(UsageError, match=r"harm\.lexicon, line 1"):
        built(tmp_path / "bad", {"harm": {"lexicon": str(lexicon)}})


@pytest.mark.parametrize("remove", [False, True])
def test_evaluation_items_are_named_and_removed_if_so_wished(remove: bool, tmp_path: Path) -> None:
    item = {"task": "threats", "item": 3, "question": "I will kill you, and then what?", "answer": ""}
    items = [item | {"question": "I will kill you, and then kill you"}, item | {"item": 4}]
    lines = "".join(json.dumps(one) + "\n" for one in items)
    Store(str(tmp_path)).write_bytes("files/items.jsonl", lines.encode())
    kept, decided, footer = built(tmp_path, {"contamination": {"items": "files/items.jsonl", "remove": remove}})
    assert ("W:4" in kept) != remove
    assert decided["W:4"]["reasons"] == (["contaminated"] if remove else [])
    assert decided["W:4"]["contaminated_by"] == "threats/3" and decided["W:4"]["contamination"] == 1
    assert decided["W:1"]["contaminated_by"] is None and footer.counters["contamination.documents"] == 1
