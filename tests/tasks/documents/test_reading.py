"""Files of documents, well made and hostile: each row is a document or says why not, and memory is bounded."""

import gzip
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tasks.base.errors import PermanentError
from tasks.documents import json_lines
from tasks.documents.columns import ColumnsConfig, Fields
from tasks.documents.reading import check_documents, read_documents
from tasks.documents.record import TextRecord, UnreadableRow
from tests.tasks.warc_builder import members, record

FIELDS = Fields(ColumnsConfig())


def read(name: str, content: bytes, fields: Fields = FIELDS) -> list[TextRecord | UnreadableRow]:
    return list(read_documents(name, io.BytesIO(content), fields))


def outcomes(items: list[TextRecord | UnreadableRow]) -> list[tuple[int, str]]:
    return [(item.place, item.text if isinstance(item, TextRecord) else item.reason) for item in items]


def parquet(columns: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


DOLMA = {
    "id": "d1",
    "text": "Ferries leave at noon.",
    "source": "common-crawl",
    "created": "2024-03-09T12:00:00.000Z",
    "metadata": {"url": "https://tolvane.example/ferry", "license": "CC BY"},
}
FINEWEB = {
    "text": "Ferries leave at noon.",
    "id": "<urn:uuid:1>",
    "dump": "CC-MAIN-2024-10",
    "url": "https://tolvane.example/ferry",
    "date": "2024-03-09T12:00:00Z",
    "language": "en",
}


@pytest.mark.parametrize("row", [DOLMA, FINEWEB])
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_exports_are_read_as_they_are(row: dict[str, Any], kind: str) -> None:
    content = json.dumps(row).encode() if kind == "jsonl" else parquet({name: [value] for name, value in row.items()})
    [found] = read(f"a.{kind}", content)
    assert isinstance(found, TextRecord)
    assert (found.text, found.url, found.source_id) == (row["text"], "https://tolvane.example/ferry", row["id"])
    assert found.date == datetime(2024, 3, 9, 12, tzinfo=UTC)


@pytest.mark.parametrize(("ending", "pack"), [("", bytes), (".gz", gzip.compress), (".zst", zstandard.compress)])
def test_each_line_is_a_document_or_says_why_not(ending: str, pack: Any) -> None:
    lines = [
        b'\xef\xbb\xbf{"text": "one"}',
        b"",
        b'{"text": "two\\u2028and\x0bthree"}\r',
        b"{not json",
        b'["a list"]',
        b'{"text": null, "id": 7}',
        b'{"text": 5}',
        b'{"text": "\xff\xfe"}',
        b"[" * 100_000,
        b'{"text": "\\ud800 alone"}',
        b'{"text": "without an end"}',
    ]
    found = outcomes(read(f"a.jsonl{ending}", pack(b"\n".join(lines).replace(b"\x0b", b"\\u000b"))))
    assert found == [
        (0, "one"),
        (2, "two\u2028and\x0bthree"),
        (3, "bad_row"),
        (4, "bad_row"),
        (5, "no_text"),
        (6, "bad_row"),
        (7, "undecodable"),
        (8, "bad_row"),
        (9, "\ud800 alone"),
        (10, "without an end"),
    ]


def test_a_line_without_end_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "MAX_LINE_BYTES", 1000)
    content = b'{"text": "' + b"a" * 10_000 + b'"}\n{"text": "next"}\n'
    assert outcomes(read("a.jsonl", content)) == [(0, "too_large"), (1, "next")]


def test_a_bomb_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "MAX_LINE_BYTES", 1 << 20)
    monkeypatch.setattr(json_lines, "_TRUSTED_BYTES", 1 << 22)
    found = outcomes(read("a.jsonl.zst", zstandard.compress(bytes(1 << 28))))
    assert found == [(0, "too_large"), (1, "decompression_bomb")]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor(write_checksum=True).compress])
def test_a_file_that_breaks_off_gives_what_came_before(pack: Any) -> None:
    lines = b"".join(b'{"text": "%d"}\n' % number for number in range(200_000))
    found = outcomes(read("a.jsonl.gz", pack(lines)[:-5]))
    assert found[-1][1] in ("clipped", "damaged")
    assert all(text == str(place) for place, text in found[:-1])


@pytest.mark.parametrize(
    "texts",
    [
        pa.array(["a", None], pa.large_string()),
        pa.array(["a", None]).dictionary_encode(),
        pa.array([b"a", None], pa.binary()),
    ],
)
def test_texts_of_every_kind_of_column(texts: pa.Array) -> None:
    assert outcomes(read("a.parquet", parquet({"text": texts}))) == [(0, "a"), (1, "no_text")]


def test_one_bad_value_costs_its_row() -> None:
    texts = pa.Array.from_buffers(pa.string(), 2, pa.array([b"good", b"\xff"], pa.binary()).buffers())
    years = pa.array([0, 1 << 50], pa.timestamp("ms"))
    found = read("a.parquet", parquet({"text": texts, "date": years}))
    assert outcomes(found) == [(0, "good"), (1, "undecodable")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.parquet", parquet({"body": ["a"], "n": [1]}), r"it has body \(string\), n \(int64\): name the text's in"),
        ("a.parquet", parquet({"text": [[1, 2]]}), "the column text holds no text but list"),
        ("a.parquet", b"PAR1 no more", "cannot be read"),
        ("a.jsonl", b'{"body": "a", "n": 1}\n', "have no field text or content or raw_content but body, n"),
        ("a.json", b'[{"text": "a"}]', "it is one JSON list, not JSON lines"),
        ("a.jsonl.gz", b"\x1f\x8b\x08 broken", "cannot be unpacked"),
    ],
)
def test_a_file_that_is_something_else_says_what_works(name: str, content: bytes, message: str) -> None:
    with pytest.raises(PermanentError, match=message):
        check_documents(name, io.BytesIO(content), FIELDS)


def test_columns_of_other_names() -> None:
    fields = Fields(ColumnsConfig(text="page.body", id="key", url="page.address"))
    row = {"key": 3, "page": {"body": "words", "address": "https://a.example/"}, "text": "not this"}
    [found] = read("a.jsonl", json.dumps(row).encode(), fields)
    assert isinstance(found, TextRecord)
    assert (found.text, found.source_id, found.url) == ("words", "3", "https://a.example/")


def test_wet_texts_stand_at_their_offsets(tmp_path: Path) -> None:
    language = {"WARC_Identified_Content_Language": "deu,eng"}
    texts = [record(f"Zeile {number}\n".encode(), "conversion", **language) for number in range(3)]
    archive = members([record(b"a", "warcinfo", ""), *texts, record(b"\xff", "conversion")])
    found = read("CC-1.warc.wet.gz", archive)
    assert [item[1] for item in outcomes(found)] == ["Zeile 0\n", "Zeile 1\n", "Zeile 2\n", "undecodable"]
    assert all(archive[item.place : item.place + 2] == b"\x1f\x8b" for item in found)
    assert isinstance(found[0], TextRecord) and (found[0].language, found[0].url) == ("de", "https://tolvane.example/")
