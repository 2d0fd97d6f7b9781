"""`auto` on pages of every kind: the same bytes on any number of workers, and whichever page came before."""

import gzip
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.corpus import crawl_to_corpus
from flows.recipe.loading import load_recipe
from flows.recipe.settings import RunSettings
from tests.conftest import dataset_bytes
from tests.tasks.extract.content.pages_of_kinds import BANNER, FOOTER, PAGES_OF_KINDS
from tests.tasks.warc_builder import http_response, members, record

CRAWL = "CC-MAIN-2026-46"
WARCS = 6
UNSURE = (
    f'<html><head><meta property="og:type" content="article"></head><body>{BANNER}<article>'
    "<p><a href='/x'>The harbour of Tolvane froze over on the second of January</a></p>"
    f"<div class='caption'>Salt was carried across the ice on sledges</div></article>{FOOTER}</body></html>"
)
"""An article whose score is so low that it is tried a second time, by trafilatura."""


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crawl of WARC files with one page of each kind, in each file another one first."""
    folder = tmp_path_factory.mktemp("crawl")
    pages = [("https://news.tolvane.example/2026/01/ice-on-the-sound", UNSURE)]
    pages += [(page.url, page.html) for page in PAGES_OF_KINDS]
    names = [f"crawl-data/{CRAWL}/segments/1.1/warc/{number}.warc.gz" for number in range(WARCS)]
    for number, name in enumerate(names):
        records = [record(http_response(html.encode()), url=url) for url, html in (*pages[number:], *pages[:number])]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(members(records))
    (folder / f"crawl-data/{CRAWL}/warc.paths.gz").write_bytes(gzip.compress("\n".join(names).encode()))
    return folder


def extracted(crawl: Path, store: Path, workers: int) -> dict[str, bytes]:
    """The files that extraction leaves."""
    source = (f"source.base={crawl}", f"source.crawl={CRAWL}", "source.warcs=all", "filter.languages=[]")
    settings = RunSettings.model_validate({"store": str(store), "workers": workers, "until": "extract"})
    crawl_to_corpus(load_recipe("first-crawl", source), settings)
    return dataset_bytes(store, "extract")


def test_equal_bytes_on_one_two_and_four_workers(prefect_server: str, crawl: Path, tmp_path: Path) -> None:
    on_one, on_two, on_four = (extracted(crawl, tmp_path / str(workers), workers) for workers in (1, 2, 4))
    assert len(on_one) > 2 * WARCS
    assert on_one == on_two == on_four
    parts = [pq.read_table(path) for path in sorted((tmp_path / "1" / "datasets" / "extract").rglob("*.parquet"))]
    told = [
        {row["url"]: (row["text"], row["kind"], row["method"], row["extraction_score"]) for row in part.to_pylist()}
        for part in parts
    ]
    assert len(told) == WARCS
    assert len(told[0]) == 1 + len(PAGES_OF_KINDS)
    assert {method for _, _, method, _ in told[0].values()} == {"runs", "precision"}
    assert all(of == told[0] for of in told)
