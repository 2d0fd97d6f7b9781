"""Training sets: every format read alike, samples that hang on nothing but the texts, errors that name the place."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.base.errors import PermanentError
from tasks.classify import training_sets as classifier_sets
from tasks.classify.training_sets import TextSample, read_set
from tasks.dataset.data_files import read_data_file
from tasks.dataset.store import Store

TEXTS = [f"text number {i} — über Flüße" for i in range(3000)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def texts_in(store: Store, *files: Path | str, field: str = "text", limit: int = 10_000, seed: int = 1) -> list[str]:
    sample = TextSample(limit, seed, 1000)
    read_set(store, [str(file) for file in files], field, "classifiers.q.positive", sample)
    return sample.texts()


def written(folder: Path, name: str, texts: list[str], field: str = "text") -> Path:
    path = folder / name
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"id": list(range(len(texts))), field: texts}), path)
        return path
    lines = texts if ".txt" in name else [json.dumps({"id": 1, field: text}) for text in texts]
    content = "\n".join(lines).encode() + b"\n\n"
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_every_format_holds_the_same_texts(store: Store, tmp_path: Path, name: str) -> None:
    found = texts_in(store, written(tmp_path, name, TEXTS))
    assert sorted(found) == sorted(TEXTS) and found != TEXTS


def test_a_file_in_the_store_is_read_from_there(store: Store, tmp_path: Path) -> None:
    store.write_bytes(f"files/{32 * 'a'}.jsonl.gz", written(tmp_path, "a.jsonl.gz", TEXTS).read_bytes())
    assert sorted(texts_in(store, f"files/{32 * 'a'}.jsonl.gz")) == sorted(TEXTS)


def test_a_sample_hangs_on_the_texts_only(store: Store, tmp_path: Path) -> None:
    ends = [written(tmp_path, "x.txt", TEXTS[:1700]), written(tmp_path, "y.parquet", TEXTS[1700:])]
    whole = written(tmp_path, "z.jsonl", TEXTS[::-1])
    sample = texts_in(store, *ends, limit=100)
    assert len(sample) == 100 and sample == texts_in(store, whole, limit=100)
    assert sample != texts_in(store, whole, limit=100, seed=2)


def test_a_text_is_taken_once_and_a_blank_one_not_at_all(store: Store, tmp_path: Path) -> None:
    assert texts_in(store, written(tmp_path, "a.jsonl", ["one", "one", " \n", "", "one"])) == ["one"]


@pytest.mark.parametrize(("name", "first"), [("a.jsonl", b'{"text": "one"}'), ("a.txt", b"one")])
def test_a_byte_order_mark_is_no_text(store: Store, tmp_path: Path, name: str, first: bytes) -> None:
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + first + b"\n")
    assert texts_in(store, str(tmp_path / name)) == ["one"]


def test_only_the_sample_is_held() -> None:
    sample = TextSample(10, 1, 5)
    for start in range(0, 100_000, 1000):
        sample.add(pa.array([f"{i:08d}" for i in range(start, start + 1000)]))
        assert len(sample._texts) <= 10 + 2048
    assert len(sample.texts()) == 10 and all(len(text) == 5 for text in sample.texts())


def test_another_field_may_hold_the_text(store: Store, tmp_path: Path) -> None:
    for name in ("b.jsonl", "b.parquet"):
        assert texts_in(store, written(tmp_path, name, ["one"], "body"), field="body") == ["one"]


def parquet_bytes(column: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": column}), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"\n \n", r"holds no text"),
        ("a.jsonl", b"", r"holds no text"),
        ("a.parquet", parquet_bytes(pa.array([], pa.string())), "holds no text"),
        ("a.txt", b"good\n\xff\xfe\n", r"line 2 is not UTF-8"),
        ("a.jsonl", b'{"text": "x"}\n{"body": "y", "id": 1}\n', r"line 2: no field 'text'; it has: body, id"),
        ("a.jsonl", b'{"text": 3}\n', r"line 1: the field 'text' is not a string but int"),
        ("a.jsonl", b"[1]\n", r"line 1 is no object"),
        ("a.jsonl", b"{'text': 1}\n", r"line 1 is not JSON"),
        ("a.jsonl", b"[" * 100_000 + b"\n", r"line 1 is not JSON"),
        ("a.jsonl.gz", b"no gzip", r"cannot be read"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "x"}\n' * 999, mtime=0)[:-20], r"cannot be read"),
        ("a.parquet", b"no parquet", r"cannot be read as Parquet"),
        ("a.parquet", parquet_bytes(pa.array([1, 2])), r"the column 'text' is int64"),
    ],
)
def test_a_bad_set_is_an_error_that_names_the_place(
    store: Store, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PermanentError, match=said) as raised:
        texts_in(store, written(tmp_path, "good.txt", ["good"]), path)
    assert f"classifiers.q.positive[1] ({path})" in str(raised.value)


def test_a_parquet_file_without_the_column_names_those_it_has(store: Store, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="no column 'text'; it has: id, body"):
        texts_in(store, written(tmp_path, "a.parquet", ["x"], "body"))


def test_half_a_surrogate_pair_is_no_harm(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a \\ud800 b"}\n')
    assert texts_in(store, tmp_path / "a.jsonl") == ["a ? b"]


def test_a_line_without_end_is_refused_in_bounded_memory(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier_sets, "MAX_LINE_BYTES", 1000)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"x" * 50_000))
    with pytest.raises(PermanentError, match="line 1 has more than 1,000 bytes"):
        texts_in(store, tmp_path / "a.txt.gz")


@pytest.mark.parametrize("name", ["quality-high.txt", "quality-low.txt"])
def test_the_seed_sets_are_there(store: Store, name: str) -> None:
    lines = read_data_file(store, f"builtin:{name}").decode().splitlines()
    assert len(texts_in(store, f"builtin:{name}")) == len(lines) == 36
