"""What a source is, told by its files; which files it has, and what their documents' ids begin with."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tasks.base.errors import UsageError
from tasks.fetch.crawl_listing import SourceConfig
from tasks.fetch.source_files import file_digest, list_files, root_of, source_name, told_kind
from tasks.fetch.source_listing import document_share, id_prefix, resolve_source, source_files
from tasks.sources.web_folder import _links
from tests.tasks.fetch.test_range_fetching import QUICK


def filled(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["crawl-data/CC-MAIN-2026-46/warc.paths.gz"], "crawl"),
        (["a.warc.gz", "b.warc", "sub/c.warc.zst", "a.cdx.gz", "README.md"], "warcs"),
        (["a.warc.wet.gz"], "wet"),
        (["data/train-00000.parquet", "dataset_infos.json", "README.md"], "documents"),
        (["en/part.jsonl.zst", "de/part.json.gz"], "documents"),
    ],
)
def test_the_kind_is_told_from_the_names(tmp_path: Path, names: list[str], kind: str) -> None:
    assert told_kind(str(filled(tmp_path, *names))) == kind


@pytest.mark.parametrize(
    ("base", "kind"),
    [
        ("https://data.commoncrawl.org", "crawl"),
        ("s3://commoncrawl", "crawl"),
        ("https://a.example/pages.warc.gz", "warcs"),
        ("s3://bucket/dolma/*.json.gz", "documents"),
    ],
)
def test_the_kind_of_an_address(base: str, kind: str) -> None:
    assert told_kind(base) == kind


def test_a_folder_of_something_else_says_what_was_found_and_what_works(tmp_path: Path) -> None:
    filled(tmp_path / "other", "a.txt", "b.txt", "c.html")
    with pytest.raises(UsageError, match=r"other has 2 \.txt, 1 \.html\. What works: a crawl in Common Crawl's layout"):
        told_kind(str(tmp_path / "other"))
    filled(tmp_path / "both", "a.warc.gz", "b.jsonl")
    with pytest.raises(UsageError, match=r"both has 1 warcs, 1 documents\. What works"):
        told_kind(str(tmp_path / "both"))
    filled(tmp_path / "crawl-data" / "CC-MAIN-2026-46", "warc.paths.gz")
    with pytest.raises(UsageError, match=r"set source.base to .* and source.crawl to CC-MAIN-2026-46"):
        told_kind(str(tmp_path / "crawl-data" / "CC-MAIN-2026-46"))


def test_files_by_folder_glob_and_name(tmp_path: Path) -> None:
    filled(tmp_path, "a.warc.gz", "sub/b.warc.gz", "sub/c.warc", ".hidden.warc", "_tmp.warc", "notes.txt")
    base = str(tmp_path)
    assert list_files(base, "warcs") == ["a.warc.gz", "sub/b.warc.gz", "sub/c.warc"]
    assert list_files(f"{base}/*.warc.gz", "warcs") == ["a.warc.gz"]
    assert list_files(f"{base}/**/*.warc.gz", "warcs") == ["a.warc.gz", "sub/b.warc.gz"]
    assert list_files(f"{base}/sub/?.warc", "warcs") == ["c.warc"] and root_of(f"{base}/sub/?.warc") == f"{base}/sub"
    assert list_files(f"{base}/sub/c.warc", "warcs") == ["c.warc"] and root_of(f"{base}/sub/c.warc") == f"{base}/sub"
    with pytest.raises(UsageError, match=r"has no file that ends with \.wet"):
        list_files(base, "wet")


def test_two_files_never_share_their_ids(tmp_path: Path) -> None:
    filled(tmp_path, "en/train.jsonl", "de/train.jsonl")
    source = resolve_source(SourceConfig(base=str(tmp_path)))
    assert [id_prefix(source, path) for path in source_files(source)] == ["de/train", "en/train"]
    filled(tmp_path, "en/train.parquet")
    with pytest.raises(UsageError, match=r"en/train\.jsonl and en/train\.parquet would give their documents the same"):
        source_files(source)
    filled(tmp_path / "warcs", "1/a.warc.gz", "2/a.warc")
    with pytest.raises(UsageError, match="rename one of them"):
        source_files(resolve_source(SourceConfig(base=str(tmp_path / "warcs"))))


def test_links_lead_nowhere_else(tmp_path: Path) -> None:
    secret = filled(tmp_path, "secret.jsonl") / "secret.jsonl"
    folder = filled(tmp_path / "data", "a.jsonl")
    (folder / "b.jsonl").symlink_to(folder / "a.jsonl")
    (folder / "loop").symlink_to(folder)
    assert list_files(str(folder), "documents") == ["a.jsonl", "b.jsonl"]
    (folder / "c.jsonl").symlink_to(secret)
    with pytest.raises(UsageError, match=r"c\.jsonl is a link to .*secret\.jsonl, outside of the source"):
        list_files(str(folder), "documents")
    snapshot = filled(tmp_path / "hub" / "snapshots" / "1", "README.md")
    filled(tmp_path / "hub" / "blobs", "0a1b")
    (snapshot / "train.parquet").symlink_to(tmp_path / "hub" / "blobs" / "0a1b")
    assert list_files(str(snapshot), "documents") == ["train.parquet"]


def test_names_that_cannot_be_in_ids_are_refused(tmp_path: Path) -> None:
    filled(tmp_path, "a\nb.jsonl")
    with pytest.raises(UsageError, match=r"a\\nb"):
        list_files(str(tmp_path), "documents")


def test_fields_that_do_not_fit_are_told(tmp_path: Path) -> None:
    filled(tmp_path, "a.jsonl")
    with pytest.raises(UsageError, match=r"source\.bytes_per_warc is for a crawl; .* limit it by source\.limit"):
        resolve_source(SourceConfig(base=str(tmp_path), bytes_per_warc=5))


def test_a_change_of_a_file_shows(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    before = file_digest(path)
    path.write_bytes(b"two")
    assert file_digest(path) != before


def test_a_limit_is_shared_equally() -> None:
    assert [document_share(10, 4, place) for place in range(4)] == [3, 3, 2, 2]
    assert [document_share(2, 4, place) for place in range(4)] == [1, 1, 0, 0]


def test_names_of_sources() -> None:
    assert source_name("/data/my pages/") == "my-pages"
    assert source_name("/data/docs/*.jsonl") == "docs"
    assert source_name("s3://bucket/dolma.jsonl.gz") == "dolma"


def test_the_files_of_a_web_servers_folder_and_of_a_list(tmp_path: Path) -> None:
    filled(tmp_path, "pages/a.warc.gz", "pages/sub folder/b.warc.gz", "pages/notes.txt", "pages/.c.warc", "out.warc")
    (tmp_path / "pages" / "mine.paths").write_text("a.warc.gz\n../out.warc\nhttp://other.example/d.warc\n")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}/pages"
        source = resolve_source(SourceConfig(base=f"{base}/", kind="warcs", transfer=QUICK))
        assert source_files(source) == ["a.warc.gz", "sub folder/b.warc.gz"] and root_of(source.base) == base
        assert source.crawl == "pages"
        assert list_files(f"{base}/mine.paths", "warcs", transfer=QUICK) == ["a.warc.gz"]
        assert root_of(f"{base}/mine.paths") == base
        server.shutdown()


def test_a_page_of_links_leads_nowhere_else() -> None:
    links = [
        "../up.warc",
        "/pages/b.warc",
        "//evil.example/c.warc",
        "?C=N;O=D",
        "%2e%2e/d.warc",
        "e.warc#x",
        "file:///f",
        "http://[",
        "//[::1",
    ]
    page = "".join(f"<a href='{link}'>" for link in links).encode()
    assert _links(page, "https://a.example/pages", "") == ["b.warc", "e.warc"]
