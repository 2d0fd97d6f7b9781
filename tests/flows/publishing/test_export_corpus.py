"""The corpus as others read it: plain Parquet, a card whose YAML says what it is, and a Croissant description."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from flows.publishing.export_corpus import export_corpus
from flows.publishing.markdown import escaped
from flows.store.datasets import part_tables
from flows.store.run_record import RunRecord
from tasks.base.errors import PermanentError, UsageError
from tasks.dataset.store import Store
from tests.conftest import ROOT
from tests.environments import environment_with

CONSUMERS = ["pandas", "polars", "duckdb", "datasets", "mlcroissant", "pyarrow"]
QUERIES = re.findall(r"^```sql\n(.*?)^```$", (ROOT / "docs" / "datasets.md").read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def exported(crawled: tuple[Store, RunRecord], tmp_path: Path) -> Path:
    export_corpus(crawled[0], tmp_path / "corpus")
    return tmp_path / "corpus"


def test_rows_and_columns_are_those_of_the_store(exported: Path, crawled: tuple[Store, RunRecord]) -> None:
    store, record = crawled
    ours = pq.read_table(store.local(record.stages["corpus"].plan.folder))
    files = sorted((exported / "data").iterdir())
    assert [file.name for file in files] == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    assert pq.read_table(files).to_pylist() == ours.to_pylist()
    assert b"sluice" not in (pq.read_schema(files[0]).metadata or {})


def test_repeated_values_are_not_unpacked_without_end(crawled: tuple[Store, RunRecord], tmp_path: Path) -> None:
    """A part of kilobytes whose texts are gigabytes: nothing limits the memory of an export."""
    store = Store(str(shutil.copytree(crawled[0].url, tmp_path / "store")))
    folder = crawled[1].stages["corpus"].plan.folder
    part = store.local(f"{folder}/part-00001.parquet")
    rows = pq.read_table(part).slice(0, 1)
    text = pa.array(["x" * 10_000_000]).dictionary_encode().take(pa.array([0] * 200))
    many = pa.concat_tables([rows] * 200).set_column(rows.schema.get_field_index("text"), "text", text)
    pq.write_table(many, part, store_schema=False)
    with pytest.raises(PermanentError, match="unpack to more than 1 GiB"):
        export_corpus(store, tmp_path / "corpus")
    with pytest.raises(PermanentError, match="unpack to more than 1 GiB"):
        list(part_tables(store, f"{folder}/part-00001.parquet", ["text"]))
    assert not (tmp_path / "corpus").exists()


def test_a_corpus_of_an_earlier_version_is_told_as_such(crawled: tuple[Store, RunRecord], tmp_path: Path) -> None:
    store = Store(str(shutil.copytree(crawled[0].url, tmp_path / "store")))
    for part in store.local(crawled[1].stages["corpus"].plan.folder).iterdir():
        pq.write_table(pq.read_table(part).drop_columns(["domain"]), part)
    with pytest.raises(PermanentError, match="an earlier version, and its documents have no domain: run"):
        export_corpus(store, tmp_path / "corpus")


def test_words_of_pages_are_read_as_they_are() -> None:
    assert escaped("snake_case*.example|<b>\n") == r"snake\_case\*.example\|\<b\>"


def test_the_card_says_what_it_is(exported: Path) -> None:
    page = (exported / "README.md").read_text()
    head = yaml.safe_load(page.split("---\n")[1])
    assert head["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*.parquet"}]
    assert head["language"] == ["en"] and head["size_categories"] == ["n<1K"]
    assert all(f"| `{name}` |" in page for name in pq.read_schema(exported / "data/train-00000-of-00002.parquet").names)
    assert "name a licence on their page" in page and "directives for robots" in page


def test_croissant_names_every_file_by_its_digest(exported: Path) -> None:
    described = json.loads((exported / "croissant.json").read_text())
    files = [entry for entry in described["distribution"] if entry["@type"] == "cr:FileObject"]
    for entry in files:
        assert hashlib.sha256((exported / entry["contentUrl"]).read_bytes()).hexdigest() == entry["sha256"]
    columns = {field["name"]: field for field in described["recordSet"][0]["field"]}
    assert list(columns) == pq.read_schema(exported / files[0]["contentUrl"]).names
    types = {name: columns[name]["dataType"] for name in ("date", "language_score", "extraction_score", "robots")}
    assert types == {
        "date": "sc:DateTime",
        "language_score": "sc:Float",
        "extraction_score": "sc:Float",
        "robots": "sc:Text",
    }
    assert [name for name, field in columns.items() if field.get("repeated")] == ["robots"]


def test_a_folder_with_something_in_it_is_left(crawled: tuple[Store, RunRecord], tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(UsageError, match="is not an empty folder"):
        export_corpus(crawled[0], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def run_in_consumers(code: str, *arguments: str) -> Any:
    python = environment_with("consumers", CONSUMERS)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": arguments[-1]}
    done = subprocess.run(
        [python, "-c", code, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


READ = """
import json, sys
import datasets, duckdb, pandas, polars
folder = sys.argv[1]
print(json.dumps({
    "pandas": sorted(pandas.read_parquet(folder)["id"]),
    "polars": sorted(polars.read_parquet(folder)["id"].to_list()),
    "duckdb": sorted(row[0] for row in duckdb.sql(f"select id from '{folder}/*.parquet'").fetchall()),
    "datasets": sorted(datasets.load_dataset(folder, split="train")["id"]),
}))
"""


@pytest.mark.slow
def test_four_tools_read_a_dataset_where_it_is(crawled: tuple[Store, RunRecord], tmp_path: Path) -> None:
    store, record = crawled
    folder = store.local(record.stages["corpus"].plan.folder)
    found = run_in_consumers(READ, str(folder), str(tmp_path))
    ids = sorted(pq.read_table(folder)["id"].to_pylist())
    assert all(read == ids for read in found.values()) and len(found) == 4


VALIDATE = """
import json, sys
import datasets, mlcroissant
described = mlcroissant.Dataset(sys.argv[1] + "/croissant.json")
issues = described.metadata.ctx.issues
rows = sum(1 for _ in described.records("documents"))
loaded = datasets.load_dataset(sys.argv[1])["train"].num_rows
print(json.dumps({"errors": sorted(map(str, issues.errors)), "rows": rows, "loaded": loaded}))
"""


@pytest.mark.slow
def test_mlcroissant_and_datasets_take_the_export(exported: Path, tmp_path: Path) -> None:
    rows = pq.read_table(exported / "data").num_rows
    found = run_in_consumers(VALIDATE, str(exported), str(tmp_path / "home"))
    assert found == {"errors": [], "rows": rows, "loaded": rows}


QUERY = """
import json, sys
import duckdb
print(json.dumps([[list(map(str, row)) for row in duckdb.sql(query).fetchall()] for query in json.loads(sys.argv[1])]))
"""


@pytest.mark.slow
def test_the_queries_of_the_page_answer(crawled: tuple[Store, RunRecord], tmp_path: Path) -> None:
    store, record = crawled
    places = {
        "CORPUS": store.full(record.stages["corpus"].plan.folder),
        "TOKENS": store.full(record.stages["tokens"].plan.folder),
        "FILTER_DECISIONS": store.full(f"decisions/filter/{record.stages['filter'].plan.fingerprint}"),
        "EXTRACTED": store.full(record.stages["extract"].plan.folder),
    }
    queries = [re.sub(r"\b(" + "|".join(places) + r")\b", lambda found: places[found[0]], query) for query in QUERIES]
    assert len(queries) == 3
    domains, languages, removed = run_in_consumers(QUERY, json.dumps(queries), str(tmp_path))
    tokens = pq.read_table(places["TOKENS"], columns=["tokens"])["tokens"].combine_chunks().flatten()
    assert sum(int(row[1]) for row in languages) == len(tokens)
    assert domains and removed
