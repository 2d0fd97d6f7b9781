"""The classifier on real pages: main texts apart from what else stands on the page, with the numbers we state."""

import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pytest
from resiliparse.extract.html2text import extract_plain_text

from tasks.classify.linear_model import score_texts
from tasks.classify.training import TrainingConfig, area_under_curve, train_classifier
from tasks.classify.training_sets import TextSample, read_set
from tasks.dataset.store import Store
from tasks.extract.charset import decode
from tasks.warc.reader import Page, ReadLimits, read_pages
from tests.conftest import COMMON_CRAWL

CONFIG = TrainingConfig(positive=("builtin:quality-high.txt",), negative=("builtin:quality-low.txt",), bucket_bits=18)


@pytest.fixture(scope="module")
def english_pages() -> list[tuple[str, str]]:
    """The main text of each English page of the gold set, and the lines of the page that are not in it."""
    folder = COMMON_CRAWL
    if not folder.is_dir():
        pytest.skip("the real pages are not here")
    with gzip.open(folder / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        gold = [page for page in map(json.loads, lines) if page["kind"] == "full" and page["lang_guess"] == "en"]
    found = []
    for page in gold:
        with (folder / page["warc"]).open("rb") as stream:
            stream.seek(int(page["offset"]))
            (record,) = read_pages(io.BytesIO(stream.read(int(page["length"]))), ReadLimits())
        assert isinstance(record, Page)
        html = decode(record.payload, record.content_type).text
        main = " ".join(page["text"].split())
        every = (" ".join(line.split()) for line in extract_plain_text(html, main_content=False).splitlines())
        found.append((page["text"], "\n".join(line for line in every if line and line not in main)))
    return found


def area(main: list[str], rest: list[str], trained_on: tuple[list[str], list[str]]) -> float:
    """How often a main text scores above the rest of a page."""
    model = train_classifier(*trained_on, CONFIG.model_copy(update={"held_out": 0.0}), "quality").model
    found = area_under_curve(*score_texts([model], pa.array([*main, *rest]))[0].reshape(2, -1))
    assert found is not None
    return found


def test_main_texts_are_told_from_the_rest_of_pages_never_seen(english_pages: list[tuple[str, str]]) -> None:
    assert len(english_pages) > 200
    learnt, unseen = english_pages[::2][:100], english_pages[1::2][:100]
    main, rest = ([page[side] for page in unseen] for side in (0, 1))
    trained_on = [page[0] for page in learnt], [page[1] for page in learnt]
    assert area(main, rest, trained_on) >= 0.97


def test_the_seed_sets_alone_go_most_of_the_way(english_pages: list[tuple[str, str]], tmp_path: Path) -> None:
    """72 paragraphs written by hand, none of them from a page: a start, not a classifier to rely on."""
    sides = []
    for files in (CONFIG.positive, CONFIG.negative):
        sample = TextSample(1000, 1, 10_000)
        read_set(Store(str(tmp_path)), files, "text", "classifiers.quality", sample)
        sides.append(sample.texts())
    main, rest = ([page[side] for page in english_pages] for side in (0, 1))
    assert area(main, rest, (sides[0], sides[1])) >= 0.88
