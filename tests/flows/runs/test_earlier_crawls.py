"""A document that an earlier crawl had already is a duplicate, found by its signature alone."""

import gzip
import shutil
from pathlib import Path

import pytest

from flows.recipe.recipe import Recipe
from flows.stages.plan import plan_stages
from tasks.base.errors import PermanentError
from tasks.dataset.manifest import Manifest, part_path
from tasks.dataset.parts import read_part
from tasks.dataset.store import Store
from tasks.fetch.crawl_listing import warc_name
from tests.flows.crawl_mirror import publish
from tests.flows.without_prefect import built_datasets

OCTOBER, NOVEMBER = "CC-MAIN-2026-41", "CC-MAIN-2026-46"


@pytest.fixture(scope="module")
def crawls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two crawls of two WARC files. The second one's first file holds what the first crawl's second file does."""
    folder = tmp_path_factory.mktemp("crawls") / "mirror"
    publish(folder, OCTOBER)
    publish(folder, NOVEMBER, seed=4)
    old, new = (_listed(folder, crawl) for crawl in (OCTOBER, NOVEMBER))
    shutil.copyfile(folder / old[1], folder / new[0])
    return folder


def _listed(folder: Path, crawl: str) -> list[str]:
    return gzip.decompress((folder / "crawl-data" / crawl / "warc.paths.gz").read_bytes()).decode().split()


def corpus_of(crawls: Path, store: Store, crawl: str, **sections: object) -> dict[str, Manifest]:
    values = {"source": {"base": str(crawls), "crawl": crawl, "warcs": "all"}, "duplicates": {"partitions": 2}}
    recipe = Recipe.model_validate({"name": "earlier", **values, **sections})
    return dict(built_datasets(store, plan_stages(recipe, crawl, {}), recipe.source, "corpus"))


def test_what_an_earlier_crawl_had_is_removed_without_its_texts(crawls: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    first = corpus_of(crawls, store, OCTOBER)
    alone = corpus_of(crawls, store, NOVEMBER)
    for name in ("extract", "filter", "corpus"):
        shutil.rmtree(store.local(f"datasets/{name}/{first[name].fingerprint}"))
    duplicates = {"partitions": 2, "earlier": [first["corpus"].fingerprint]}
    second = corpus_of(crawls, store, NOVEMBER, duplicates=duplicates)
    assert [part.rows > 0 for part in alone["corpus"].parts] == [True, True]
    assert [part.rows for part in second["corpus"].parts] == [0, alone["corpus"].parts[1].rows]
    assert second["filter"].digest == alone["filter"].digest

    (found,) = read_part(store, part_path("duplicates", second["duplicates"].fingerprint, 0))
    assert len(found) == second["filter"].parts[0].rows
    names = {cluster.rpartition(":")[0] for cluster in found["cluster"].to_pylist()}
    assert names <= set(map(warc_name, _listed(crawls, OCTOBER))), "kept where it was first"
    assert not any(found["kept"].to_pylist())


def test_signatures_of_another_kind_are_refused(crawls: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    first = corpus_of(crawls, store, OCTOBER, signatures={"bands": 7})
    earlier = {"earlier": [first["corpus"].fingerprint]}
    with pytest.raises(PermanentError, match=r"were made with .*'bands': 7.* cannot be compared.* duplicates\.earlier"):
        corpus_of(crawls, store, NOVEMBER, duplicates=earlier)
    with pytest.raises(PermanentError, match=r"no finished corpus dataset 0000000000000000\. Take .* out of"):
        corpus_of(crawls, store, NOVEMBER, duplicates={"earlier": ["0" * 16]})
