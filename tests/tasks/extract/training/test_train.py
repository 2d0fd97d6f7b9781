"""Training: its models are LightGBM's, find the pages that they learned from, and are the same each time."""

import numpy as np
import pytest

from tests.tasks.extract.content.pages_of_kinds import ARTICLE, BOILERPLATE, FORUM, LISTING, PAGES_OF_KINDS

lightgbm = pytest.importorskip("lightgbm")

from tasks.extract.content.boosted_trees import ONE  # noqa: E402
from tasks.extract.training.gold_pages import GoldText  # noqa: E402
from tasks.extract.training.train import GoldPage, as_trees, found_text, measure, train  # noqa: E402


@pytest.fixture(scope="module")
def pages() -> list[GoldPage]:
    """Each page on twenty domains."""
    texts = (
        GoldText(page.url, f"{place}.example", page.html, "\n".join(page.wanted), page.kind, 1.0)
        for page in PAGES_OF_KINDS
        for place in range(20)
    )
    return [page for text in texts if (page := measure(text)) is not None]


def test_models_find_the_pages_that_they_learned_from_and_are_the_same_each_time(pages: list[GoldPage]) -> None:
    kinds, runs = train(pages)
    text = "\n".join(found_text(page, kinds, runs) for page in pages[::20])
    wanted = (*ARTICLE.wanted, *FORUM.wanted, *LISTING.wanted)  # of the others `wanted` is not all that is content
    assert [piece for piece in wanted if piece not in text] == []
    assert [piece for piece in BOILERPLATE if piece in text] == []
    assert [trees.to_text() for trees in train(pages)] == [kinds.to_text(), runs.to_text()]


def test_trees_add_up_to_what_lightgbm_says() -> None:
    rows = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    labels = (rows[:, 0] > rows[:, 1]).astype(int)
    booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(rows, labels), 20)
    trees = as_trees([booster], ("content",), ("a", "b", "c"))
    sums = trees.sums(dict(zip("abc", rows.T, strict=True)))[:, 0] / ONE
    assert sums == pytest.approx(booster.predict(rows, raw_score=True), abs=20 / ONE)
