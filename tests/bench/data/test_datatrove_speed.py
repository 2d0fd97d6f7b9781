"""From a WARC file to kept documents, ours beside datatrove 0.10, one core each.

Notable: processor time, since the clock says more of what else the machine does; file by file in turn. The rules are
equal: our `datatrove` profile, with English stop words for every language as there. datatrove's URL and language steps
load from the network and are left out. Where ours is to keep English only, datatrove is measured both without a
language step, so that its filters see every page, and with a perfect one that costs nothing, which it does not have.
"""

import gzip
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.dataset.schemas import DOCUMENTS
from tasks.extract.config import ExtractionConfig
from tasks.extract.url_rules import UrlRulesConfig
from tasks.filter.config import FilterConfig
from tasks.filter.filter import filter_documents
from tests.bench.data.datatrove_environment import run_in_datatrove
from tests.bench.data.our_filtering import filter_warc
from tests.bench.data.real_texts import english_texts
from tests.bench.side_by_side import show

pytestmark = [pytest.mark.bench, pytest.mark.timeout(2400)]

PIPELINE = Path(__file__).with_name("datatrove_pipeline.py")
FILTERS = Path(__file__).with_name("datatrove_filters.py")
WARCS = 4
TEXTS = 400
LEAST_RATIO_EVERY_PAGE, LEAST_RATIO_ENGLISH, LEAST_RATIO_FREE_LANGUAGE_STEP, LEAST_RATIO_FILTERS = 2.0, 2.8, 2.4, 4.2
"""Measured on idle cores: 2.31, 3.16, 2.70 and 4.84."""
MAX_CHARACTERS = 200_000
"""Longer texts are left out of the filters' comparison: spaCy takes seconds for each."""

NO_URL_RULES = UrlRulesConfig(blocked_domains=(), hard_words=(), soft_words=(), subwords=())
EVERY_PAGE = ExtractionConfig(urls=NO_URL_RULES, drop_seen=False, guess_languages=())
ENGLISH_PAGES = ExtractionConfig(guess_languages=("en",))
"""As a recipe that keeps English has it, with the cheap steps before the extractor."""


@dataclass(frozen=True)
class Done:
    """What one side made of one WARC file."""

    seconds: float
    kept: frozenset[str]
    """WARC-Record-IDs."""


@dataclass(frozen=True)
class Label:
    """One response record, as `labels.jsonl.gz` has it."""

    record_id: str
    warc: str
    offset: int
    language: str


def read_labels(folder: Path) -> list[Label]:
    """Of all pages."""
    with gzip.open(folder / "labels.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Label(r["record_id"], r["warc"], r["offset"], r["lang"] or r["lang_guess"] or "") for r in rows]


def is_english(label: Label) -> bool:
    """By what its source says, else by a guess made with care when the crawl was put together."""
    return label.language in ("en", "eng_Latn")


class Sides:
    """What is compared, each a function from a WARC file to what it made of it."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder, self._scratch, self._runs = folder, scratch, 0
        self.labels = read_labels(folder)
        self._stop_words = scratch / "english.yaml"
        self._stop_words.write_text("en: the be to of and that have with\n")

    def datatrove(self, warc: Path) -> Done:
        """Every page goes all the way."""
        return self._theirs(warc)

    def datatrove_english(self, warc: Path) -> Done:
        """Pages that are not English are dropped after extraction, for nothing."""
        return self._theirs(warc, "--only-listed")

    def ours(self, warc: Path) -> Done:
        """Every page goes all the way."""
        return self._ours(warc, EVERY_PAGE, languages=(), min_language_score=0.0)

    def ours_english(self, warc: Path) -> Done:
        """The cheap before the dear: URL rules, copies and a language guess come first."""
        return self._ours(warc, ENGLISH_PAGES, languages=("en",), min_language_score=0.65)

    def _theirs(self, warc: Path, *arguments: str) -> Done:
        english = [{"id": label.record_id} for label in self.labels if is_english(label)]
        (done,) = run_in_datatrove(PIPELINE, str(warc), *arguments, rows=english)
        return Done(done["seconds"], frozenset(done["kept"]))

    def _ours(self, warc: Path, extraction: ExtractionConfig, languages: tuple[str, ...], **rest: float) -> Done:
        self._runs += 1
        config = FilterConfig.model_validate(
            {"profiles": ("datatrove",), "stop_words": str(self._stop_words), "languages": languages, **rest}
        )
        done = filter_warc(self.folder, warc, self._scratch / f"store-{self._runs}", extraction, config)
        names = {f"{Path(x.warc).name.removesuffix('.warc.gz')}:{x.offset}": x.record_id for x in self.labels}
        return Done(done.seconds, frozenset(names[document] for document in done.kept))


def test_from_warc_to_kept_documents(common_crawl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = Sides(common_crawl, tmp_path)
    warcs = sorted((common_crawl / "crawl-data").rglob("*.warc.gz"))[::2][:WARCS]
    ways: list[Callable[[Path], Done]] = [sides.datatrove, sides.ours, sides.datatrove_english, sides.ours_english]
    done: dict[str, list[Done]] = {way.__name__: [] for way in ways}
    sides.ours(warcs[0])  # the first worker process waits for the fork server's imports
    for number, warc in enumerate(warcs):
        for way in ways[:: -1 if number % 2 else 1]:
            done[way.__name__].append(way(warc))
    names = {warc.name for warc in warcs}
    pages = sum(Path(label.warc).name in names for label in sides.labels)
    seconds = {name: sum(each.seconds for each in runs) for name, runs in done.items()}
    ratios = {
        "every page": seconds["datatrove"] / seconds["ours"],
        "English, guessed before extraction": seconds["datatrove"] / seconds["ours_english"],
        "the same, datatrove with a free language step": seconds["datatrove_english"] / seconds["ours_english"],
    }
    shared = {
        "every page": agreement(done["datatrove"], done["ours"]),
        "English": agreement(done["datatrove_english"], done["ours_english"]),
    }
    with capsys.disabled():
        show(f"{pages} pages, pages a second of one core", {name: pages / spent for name, spent in seconds.items()})
        show("Documents kept", {name: sum(len(each.kept) for each in runs) for name, runs in done.items()})
        show("Kept by both over kept by either; two versions of trafilatura", shared)
        show("Our pages a second over datatrove's", ratios)
    assert ratios["every page"] >= LEAST_RATIO_EVERY_PAGE
    assert ratios["English, guessed before extraction"] >= LEAST_RATIO_ENGLISH
    assert ratios["the same, datatrove with a free language step"] >= LEAST_RATIO_FREE_LANGUAGE_STEP


def agreement(one: list[Done], other: list[Done]) -> float:
    """Documents that both kept over those that either did."""
    pairs = list(zip(one, other, strict=True))
    return sum(len(a.kept & b.kept) for a, b in pairs) / max(1, sum(len(a.kept | b.kept) for a, b in pairs))


def test_all_signals_cost_a_fraction_of_datatrove_s_filters(
    common_crawl: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours measures every signal of every profile; datatrove's stop at the first filter that drops a text."""
    texts = list(islice((text for text in english_texts() if len(text) <= MAX_CHARACTERS), TEXTS))
    before = measuring_seconds(texts)
    theirs = list(run_in_datatrove(FILTERS, "--timed", rows=({"text": text} for text in texts)))
    ours = (before + measuring_seconds(texts)) / 2
    ratio = sum(each["seconds"] for each in theirs) / ours
    with capsys.disabled():
        show(f"Filters on {len(texts)} texts, {ours / len(texts) * 1000:.2f} ms each", {"ours over datatrove's": ratio})
    assert ratio >= LEAST_RATIO_FILTERS


def measuring_seconds(texts: list[str]) -> float:
    """Processor seconds of this thread."""
    config = FilterConfig(profiles=("datatrove",))
    rows = [{"text": text, "language": "en", "language_score": 1.0} for text in texts]
    documents = pa.Table.from_pylist(rows, DOCUMENTS)
    began = time.thread_time()
    filter_documents(documents, config)
    return time.thread_time() - began
