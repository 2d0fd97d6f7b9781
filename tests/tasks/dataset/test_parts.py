"""Parts: done when their footer says so, whole or absent, the same bytes for the same rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.base.errors import PermanentError
from tasks.dataset.manifest import part_path, read_manifest, write_manifest
from tasks.dataset.parquet_opening import read_rows
from tasks.dataset.parts import PartFooter, PartWriter, open_part, read_footer, read_part, read_parts
from tasks.dataset.store import Store

SCHEMA = pa.schema([("id", pa.string()), ("n", pa.int64())])


def write(store: Store, path: str, ids: list[str], inputs: str = "inputs") -> PartFooter:
    with PartWriter(store, path, SCHEMA, "extract", "f" * 16, inputs) as writer:
        writer.write(pa.table({"id": ids, "n": range(len(ids))}, schema=SCHEMA))
        return writer.commit({"kept": len(ids)})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def test_the_footer_tells_what_the_part_is_made_of(store: Store) -> None:
    written = write(store, "part", ["a", "b"])
    footer = read_footer(store, "part")
    assert footer == written
    assert footer.rows == 2 and footer.counters == {"kept": 2}
    assert footer.matches("extract", "f" * 16, "inputs")
    assert not footer.matches("extract", "f" * 16, "other inputs")
    assert not footer.matches("extract", "0" * 16, "inputs")


@settings(max_examples=20, deadline=None)
@given(ids=st.lists(st.text(max_size=8), max_size=20))
def test_the_same_rows_give_the_same_bytes(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    store = Store(str(tmp_path_factory.mktemp("parts")))
    assert write(store, "one", ids).digest == write(store, "two", ids).digest
    assert store.read_bytes("one") == store.read_bytes("two")
    assert [row for table in read_part(store, "one") for row in table.column("id").to_pylist()] == ids


def test_other_rows_give_another_digest(store: Store) -> None:
    assert write(store, "one", ["a"]).digest != write(store, "two", ["b"]).digest


def test_nothing_appears_before_the_commit(store: Store) -> None:
    with pytest.raises(RuntimeError), PartWriter(store, "part", SCHEMA, "s", "f", "i") as writer:
        writer.write(pa.table({"id": ["a"], "n": [1]}, schema=SCHEMA))
        raise RuntimeError
    assert store.names("") == []


def test_leaving_without_commit_is_an_error(store: Store) -> None:
    with pytest.raises(PermanentError, match="without commit"), PartWriter(store, "part", SCHEMA, "s", "f", "i"):
        pass
    assert store.names("") == []


def test_a_damaged_or_foreign_file_is_not_a_part(store: Store) -> None:
    write(store, "part", ["a"])
    whole = store.read_bytes("part")
    for damaged in (b"", whole[: len(whole) // 2], b"<html>not found</html>"):
        store.write_bytes("part", damaged)
        assert read_footer(store, "part") is None
        with pytest.raises(PermanentError, match="cannot be read"):
            list(read_part(store, "part"))
    assert read_footer(store, "missing") is None


def test_a_manifest_sums_its_parts_and_repeats_itself(store: Store) -> None:
    footers = [write(store, part_path("extract", "f" * 16, i), ["x"] * (i + 1), f"inputs {i}") for i in range(3)]
    first = write_manifest(store, "extract", "f" * 16, 1, {"a": 1}, {}, footers)
    written = store.read_bytes(f"datasets/extract/{'f' * 16}.manifest.json")
    assert first.rows == 6 and first.counters == {"kept": 6} and len(first.parts) == 3
    assert read_manifest(store, "extract", "f" * 16) == first
    write_manifest(store, "extract", "f" * 16, 1, {"a": 1}, {}, footers)
    assert store.read_bytes(f"datasets/extract/{'f' * 16}.manifest.json") == written


@pytest.mark.parametrize("content", [b"{", b"[" * 200_000, b'{"parts":' * 200_000, b"[]", b"\xff"])
def test_a_damaged_manifest_is_named(store: Store, content: bytes) -> None:
    store.write_bytes("datasets/extract/ffff.manifest.json", content)
    with pytest.raises(PermanentError, match=r"datasets/extract/ffff.manifest.json is damaged"):
        read_manifest(store, "extract", "ffff")
    assert read_manifest(store, "extract", "0000") is None


@pytest.mark.parametrize("footer", ["[" * 100_000, "[]", '{"stage": 1}', '{"counters": {"kept": "many"}}', "\ud800"])
def test_a_footer_that_is_none_is_no_footer(store: Store, tmp_path: Path, footer: str) -> None:
    table = pa.table({"id": ["a"]}).replace_schema_metadata({"sluice": footer.encode(errors="surrogatepass")})
    pq.write_table(table, tmp_path / "part")
    assert read_footer(store, "part") is None


@pytest.mark.parametrize("path", ["../part-00000.parquet", "part-1.parquet", "/etc/part-00000.parquet", ""])
def test_a_manifest_lists_parts_of_its_own_folder(store: Store, path: str) -> None:
    footer = write(store, part_path("extract", "f" * 16, 0), ["a"])
    written = write_manifest(store, "extract", "f" * 16, 1, {}, {}, [footer]).model_dump()
    written["parts"][0]["path"] = path
    store.write_bytes(f"datasets/extract/{'f' * 16}.manifest.json", json.dumps(written).encode())
    with pytest.raises(PermanentError, match=r"manifest .* is damaged"):
        read_manifest(store, "extract", "f" * 16)


def test_a_part_that_unpacks_to_no_usual_number_of_rows_is_refused(store: Store, tmp_path: Path) -> None:
    zeros = pa.table({"n": np.zeros((1 << 22) + 1, np.int64)})
    pq.write_table(zeros, tmp_path / "part", row_group_size=1 << 23)
    assert (tmp_path / "part").stat().st_size < 20_000
    with pytest.raises(PermanentError, match=r"4,194,305 rows, more than 4,194,304.*Delete the file"):
        next(read_part(store, "part"))


@pytest.mark.parametrize(
    "rows",
    [
        {"text": pa.array(["x" * 10_000_000]).dictionary_encode().take(pa.array([0] * 1000))},
        {"ones": pa.array([[1] * 100_000]).take(pa.array([0] * 1500))},
    ],
    ids=["a text", "numbers in lists"],
)
def test_repeated_values_are_unpacked_up_to_a_limit(store: Store, tmp_path: Path, rows: dict[str, Any]) -> None:
    """A column of gigabytes is a file of kilobytes where one value stands in every row."""
    table = pa.table(rows)
    pq.write_table(table, tmp_path / "part", store_schema=False)
    assert (tmp_path / "part").stat().st_size < 1_000_000
    with pytest.raises(PermanentError, match=r"unpack to more than 1 GiB.*Delete"), open_part(store, "part") as parquet:
        read_rows(parquet, table.column_names)


def test_long_texts_are_read_whole(store: Store, tmp_path: Path) -> None:
    """These could be too large for all that the file says of itself, so they are read a few at a time."""
    table = pa.table({"n": range(1000), "text": ["x" * 50_000 + str(place) for place in range(1000)]})
    pq.write_table(table, tmp_path / "part", row_group_size=500)
    with open_part(store, "part") as parquet:
        assert read_rows(parquet, ["n", "text"]) == table
        assert read_rows(parquet, ["n"], 1) == table.select(["n"]).slice(500)


@pytest.mark.parametrize("kind", ["folder", "object store"])
def test_many_parts_are_read_in_their_order(tmp_path: Path, kind: str) -> None:
    store = Store(str(tmp_path) if kind == "folder" else f"memory://{tmp_path.name}")
    paths = [f"part-{number}" for number in range(40)]
    for number, path in enumerate(paths):
        write(store, path, [f"{number}a", f"{number}b"] if number % 3 else [])
    found = [(place, table["id"].to_pylist()) for place, table in read_parts(store, paths, ["id"])]
    assert found == [(number, [f"{number}a", f"{number}b"]) for number in range(40) if number % 3]
    store.remove("part-20")
    with pytest.raises(PermanentError, match="part-20"):
        list(read_parts(store, paths))
