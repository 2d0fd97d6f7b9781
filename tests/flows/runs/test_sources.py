"""Each kind of source, from its files to the corpus: every document has its address, and every row is accounted for."""

import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from flows.recipe.own_code import pin_own_code
from flows.recipe.recipe import Recipe
from flows.stages.plan import plan_stages
from tasks.base.errors import PermanentError
from tasks.dataset.data_files import pin_data_files
from tasks.dataset.store import Store
from tasks.fetch.source_listing import resolve_source
from tests.conftest import ROOT
from tests.flows.without_prefect import built_datasets
from tests.tasks.indexed_crawl import IndexedPage, surt, write_indexed_crawl
from tests.tasks.warc_builder import members, record

EXTENDING = (ROOT / "docs" / "extending.md").read_text()


class Carried:
    """A recipe carried out as far as a stage, without Prefect."""

    def __init__(self, folder: Path, base: Path | str, last: str = "corpus", **source: Any) -> None:
        values = {"name": "test", "source": {"base": str(base)} | source, "filter": {"languages": [], "profiles": []}}
        self.store = Store(str(folder))
        recipe = pin_own_code(pin_data_files(Recipe.model_validate(values), self.store))
        source_now = resolve_source(recipe.source)
        self.plans = plan_stages(recipe.model_copy(update={"source": source_now}), source_now.crawl, {})
        self.manifests = dict(built_datasets(self.store, self.plans, source_now, last))

    def rows(self, stage: str) -> list[dict[str, Any]]:
        return pq.read_table(self.store.local(self.plans[stage].folder)).to_pylist()

    def decisions(self, stage: str) -> dict[str, list[str]]:
        folder = self.store.local(f"decisions/{stage}/{self.plans[stage].fingerprint}")
        return {row["id"]: row["reasons"] for row in pq.read_table(folder).to_pylist()}


TEXTS = [
    "The ferry leaves the harbour of Tolvane at noon, every day but Sunday.",
    "Her grandmother kept seven hives behind the mill and sold honey in spring.",
    "A bridge of oak was built over the Kinno after the great flood.",
    "Teachers of the valley meet in winter to choose the books for school.",
    "Whoever finds a silver coin in the baker's bread may ask for a song.",
    "The old lighthouse was painted white again by eleven volunteers.",
]


def write_lines(path: Path, texts: list[str], pack: Any = bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"text": text, "id": f"d{number}", "url": f"https://a.example/{number}"})
        for number, text in enumerate(texts)
    ]
    path.write_bytes(pack("\n".join(lines).encode()))


def test_json_lines_in_folders_keep_their_rows_and_ids(tmp_path: Path) -> None:
    write_lines(tmp_path / "docs" / "en" / "train.jsonl.zst", TEXTS[:3], zstandard.compress)
    write_lines(tmp_path / "docs" / "de" / "train.json.gz", TEXTS[3:], gzip.compress)
    carried = Carried(tmp_path / "store", tmp_path / "docs")
    found = {row["id"]: row for row in carried.rows("corpus")}
    assert {id: row["text"] for id, row in found.items()} == {
        f"{part}/train:{row}": TEXTS[row + first] for part, first in (("en", 0), ("de", 3)) for row in range(3)
    }
    one = found["de/train:1"]
    assert (one["source_id"], one["url"], one["domain"], one["crawl"]) == (
        "d1",
        "https://a.example/1",
        "a.example",
        "docs",
    )


def test_parquet_files_are_documents_and_bad_rows_decisions(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"text": [TEXTS[0], None, "", TEXTS[1]]}), tmp_path / "data" / "a.parquet")
    carried = Carried(tmp_path / "store", tmp_path / "data" / "*.parquet")
    assert [row["id"] for row in carried.rows("corpus")] == ["a:0", "a:3"]
    assert carried.decisions("extract") == {"a:0": [], "a:1": ["no_text"], "a:2": ["no_text"], "a:3": []}


def test_wet_files_give_their_texts(tmp_path: Path) -> None:
    archive = members([record(text.encode(), "conversion", f"https://a.example/{at}") for at, text in enumerate(TEXTS)])
    (tmp_path / "CC-1.warc.wet.gz").write_bytes(archive)
    rows = Carried(tmp_path / "store", tmp_path / "CC-1.warc.wet.gz").rows("corpus")
    assert [row["text"] for row in rows] == TEXTS
    for row in rows:
        name, _, offset = row["id"].rpartition(":")
        assert name == "CC-1.warc.wet"
        assert row["text"].encode() in gzip.GzipFile(fileobj=io.BytesIO(archive[int(offset) :])).read()


@pytest.fixture
def crawl(tmp_path: Path) -> list[IndexedPage]:
    return write_indexed_crawl(tmp_path / "web", warcs=3)


def test_warc_files_give_the_documents_of_their_crawl(tmp_path: Path, crawl: list[IndexedPage]) -> None:
    """Under equal ids, whichever way the files are given; a zstd file has other offsets."""
    whole = Carried(tmp_path / "a", tmp_path / "web", "extract", warcs="all").rows("extract")
    folder = tmp_path / "web" / "crawl-data" / crawl[0].warc.split("/")[1] / "segments"
    for number, base in enumerate((str(folder), f"{folder}/**/*.warc.gz")):
        rows = Carried(tmp_path / f"b{number}", base, "extract").rows("extract")
        assert {row["id"]: row["text"] for row in rows} == {row["id"]: row["text"] for row in whole}
    packed = tmp_path / "packed"
    packed.mkdir()
    for warc in folder.rglob("*.warc.gz"):
        records = gzip.decompress(warc.read_bytes()).split(b"WARC/1.0\r\n")[1:]
        content = b"".join(zstandard.compress(b"WARC/1.0\r\n" + one) for one in records)
        (packed / warc.name.replace(".gz", ".zst")).write_bytes(content)
    rows = Carried(tmp_path / "c", packed, "extract").rows("extract")
    assert [row["text"] for row in rows] == [row["text"] for row in whole]


def test_a_list_of_urls_is_resolved_through_the_index(tmp_path: Path, crawl: list[IndexedPage]) -> None:
    wanted = crawl[::5]
    other_scheme = [page.url.replace("https://", "HTTP://").replace("HTTP", "http") for page in wanted]
    (tmp_path / "urls.txt").write_text("\n".join(["# mine", *other_scheme, "https://not.in.the.index.example/"]))
    carried = Carried(tmp_path / "s", tmp_path / "web", "extract", select={"urls": str(tmp_path / "urls.txt")})
    assert {row["id"] for row in carried.rows("extract")} == {page.id for page in wanted}
    counted = carried.manifests["wanted"].counters
    assert (counted["urls_listed"], counted["urls_not_in_index"]) == (len(wanted) + 1, 1)


def write_sidecars(root: Path, pages: list[IndexedPage], ending: str, named_columns: bool) -> None:
    """A CDX file beside each WARC file, in place of the columnar index."""
    (root / "crawl-data" / pages[0].warc.split("/")[1] / "cc-index-table.paths.gz").unlink()
    for warc in {page.warc for page in pages}:
        lines = [" CDX N b a m s k r M S V g"] if named_columns else []
        for page in (page for page in pages if page.warc == warc):
            key, place = surt(page.url), {"length": str(page.length), "offset": str(page.offset)}
            fields = {"url": page.url, "mime-detected": page.mime, "status": "200", "languages": page.languages} | place
            named = f"{key} 20261107013045 {page.url} {page.mime} 200 SHA - - {page.length} {page.offset} x.warc.gz"
            lines.append(named if named_columns else f"{key} 20261107013045 {json.dumps(fields)}")
        content = "\n".join(lines).encode()
        sidecar = root / f"{warc.removesuffix('.warc.gz')}{ending}"
        sidecar.write_bytes(gzip.compress(content) if ending.endswith(".gz") else content)


@pytest.mark.parametrize(("ending", "named_columns"), [(".cdxj.gz", False), (".warc.cdx", True)])
def test_pages_are_selected_by_the_cdx_files_of_a_crawl_without_an_index(
    tmp_path: Path, crawl: list[IndexedPage], ending: str, named_columns: bool
) -> None:
    asked: dict[str, Any] = {"domains": ["example.org"], "mime": ["text/html"]}
    asked |= {} if named_columns else {"languages": ["de"]}
    indexed = Carried(tmp_path / "a", tmp_path / "web", "extract", warcs="all", select=asked).rows("extract")
    assert 0 < len(indexed) < len(crawl)
    write_sidecars(tmp_path / "web", crawl, ending, named_columns)
    rows = Carried(tmp_path / "b", tmp_path / "web", "extract", warcs="all", select=asked).rows("extract")
    assert rows == indexed
    folder = tmp_path / "web" / "crawl-data"
    rows = Carried(tmp_path / "c", folder, "extract", kind="warcs", select=asked).rows("extract")
    assert {row["id"]: row["text"] for row in rows} == {row["id"]: row["text"] for row in indexed}
    if named_columns:
        with pytest.raises(PermanentError, match=r"names no languages, which source\.select\.languages needs"):
            Carried(tmp_path / "d", folder, "extract", kind="warcs", select={"languages": ["de"]})


def test_a_line_that_is_no_record_is_named(tmp_path: Path, crawl: list[IndexedPage]) -> None:
    write_sidecars(tmp_path / "web", crawl, ".cdxj", False)
    sidecar = min((tmp_path / "web").rglob("*.cdxj"))
    sidecar.write_text('org,example)/ 2026 {"url": "http://a.example/", "offset": "-1", "length": "9"}\n')
    with pytest.raises(PermanentError, match=r"cdxj, line 1: .* is no record of a CDX file: .*'-1' is no number"):
        Carried(tmp_path / "s", tmp_path / "web", "extract", warcs="all", select={"domains": ["a.example"]})


def test_a_crawl_by_months_is_found_by_its_listing(tmp_path: Path, crawl: list[IndexedPage]) -> None:
    listing = tmp_path / "web" / "crawl-data" / "CC-NEWS" / "2026" / "11" / "warc.paths.gz"
    listing.parent.mkdir(parents=True)
    listing.write_bytes(gzip.compress(f"{crawl[0].warc}\n".encode()))
    rows = Carried(tmp_path / "s", tmp_path / "web", "extract", crawl="CC-NEWS/2026/11").rows("extract")
    assert rows and {row["crawl"] for row in rows} == {"CC-NEWS/2026/11"}


def test_a_limit_reads_so_many_and_is_not_redone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_lines(tmp_path / "docs" / f"{name}.jsonl", TEXTS[:3] if name == "a" else TEXTS[3:])
    ids = [row["id"] for row in Carried(tmp_path / "store", tmp_path / "docs", limit=3).rows("corpus")]
    assert ids == ["a:0", "a:1", "b:0"]


def test_a_limit_is_shared_by_the_files_with_selected_pages(tmp_path: Path, crawl: list[IndexedPage]) -> None:
    last = [page for page in crawl if page.warc == crawl[-1].warc]
    (tmp_path / "urls.txt").write_text("\n".join(page.url for page in last))
    inputs = set()
    for limit in (1, 2):
        select = {"urls": str(tmp_path / "urls.txt")}
        carried = Carried(tmp_path / "s", tmp_path / "web", "extract", select=select, limit=limit)
        assert len(carried.rows("extract")) == limit
        inputs |= {part.inputs for part in carried.manifests["fetch"].parts}
    assert len(inputs) == 2, "a part of one limit is not taken for that of another"


def test_a_changed_file_is_read_again_and_the_others_are_not(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_lines(tmp_path / "docs" / f"{name}.jsonl", TEXTS[:3] if name == "a" else TEXTS[3:])
    before = Carried(tmp_path / "store", tmp_path / "docs", "extract").manifests["extract"].parts
    write_lines(tmp_path / "docs" / "b.jsonl", TEXTS)
    after = Carried(tmp_path / "store", tmp_path / "docs", "extract").manifests["extract"].parts
    assert before[0] == after[0] and before[1].digest != after[1].digest


def test_a_file_without_texts_says_which_column_to_name(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"body": "words"}\n')
    with pytest.raises(
        PermanentError, match=r"a\.jsonl: its first lines have no field text .* but body: name the text"
    ):
        Carried(tmp_path / "store", tmp_path / "a.jsonl")
    rows = Carried(tmp_path / "store", tmp_path / "a.jsonl", columns={"text": "body"}).rows("corpus")
    assert [row["text"] for row in rows] == ["words"]


def test_files_of_any_kind_through_a_reader_of_ones_own(tmp_path: Path) -> None:
    """The reader is the one that docs/extending.md shows."""
    [code] = re.findall(r"^```python\n# my_source.py\n(.*?)^```$", EXTENDING, re.DOTALL | re.MULTILINE)
    (tmp_path / "my_source.py").write_text(code)
    (tmp_path / "mails").mkdir()
    messages = [f"From a@a.example\nSubject: Part {n}\nMessage-ID: m{n}\n\n{text}\n\n" for n, text in enumerate(TEXTS)]
    (tmp_path / "mails" / "inbox.mbox").write_text("".join(messages))
    reader = f"{tmp_path}/my_source.py:read"
    carried = Carried(tmp_path / "store", tmp_path / "mails", reader=reader)
    rows = carried.rows("corpus")
    assert [(row["id"], row["source_id"]) for row in rows] == [(f"inbox.mbox:{n}", f"m{n}") for n in range(len(TEXTS))]
    assert rows[1]["text"].split("\n")[:3] == ["Part 1", "", TEXTS[1]]
    (tmp_path / "my_source.py").write_text(code.replace("yield {", "1 / 0\n            yield {"))
    with pytest.raises(PermanentError, match=r"my_source\.py, line \d+, on row 0 of inbox\.mbox: ZeroDivisionError"):
        Carried(tmp_path / "store", tmp_path / "mails", reader=reader)
    with pytest.raises(ValueError, match=r"source\.reader makes documents of any file"):
        Carried(tmp_path / "store", tmp_path / "mails", reader=reader, kind="wet")


def test_documents_of_an_object_store(tmp_path: Path) -> None:
    import fsspec

    files = fsspec.filesystem("memory")
    for name in ("en/a.jsonl", "de/a.jsonl"):
        files.pipe_file(f"/docs/{name}", json.dumps({"text": f"{TEXTS[0]} {name}"}).encode())
    carried = Carried(tmp_path / "store", "memory://docs", kind="documents")
    assert [row["id"] for row in carried.rows("corpus")] == ["de/a:0", "en/a:0"]
