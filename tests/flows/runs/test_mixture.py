"""A run that trains on two corpora: what is drawn of each, what is held out, and where every token comes from."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.prepare.mixed_corpora import pin_mixture, refuse_own_corpus
from flows.recipe.recipe import Recipe
from flows.report.readers.funnel import funnel_discrepancies
from flows.stages.plan import plan_stages
from flows.store.run_record import RunRecord
from flows.store.why import explain_stage
from tasks.base.errors import PermanentError, UsageError
from tasks.dataset.data_files import pin_data_files
from tasks.dataset.store import Store
from tests.flows.report_stores import RECIPE, crawl

OTHER_WEB = RECIPE["synthetic_web"] | {"seed": 2, "warcs": 3, "crawl": "CC-MAIN-2026-40"}
STEPS = [{"at_least": 2, "times": 3}]
QUALITY = {"positive": ["builtin:quality-high.txt"], "negative": ["builtin:quality-low.txt"], "min_score": 0.0}


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which another crawl's corpus is finished."""
    store = tmp_path_factory.mktemp("other")
    crawl(store, {"synthetic_web": OTHER_WEB, "pretrain": None, "sft": None})
    return store


@pytest.fixture(scope="module")
def mixed(other: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord]:
    """A store whose run takes its own corpus twice, half of the other, and duplicated pages three times over."""
    store = tmp_path_factory.mktemp("mixed")
    section = {"own": {"epochs": 2}, "others": {"old": {"store": str(other), "epochs": 0.5}}, "by_duplicates": STEPS}
    return store, crawl(store, {"mixture": section})


def rows(store: Path, record: RunRecord, stage: str) -> list[list[dict[str, Any]]]:
    """The rows of a dataset by part."""
    folder = store / record.stages[stage].plan.folder
    return [pq.read_table(part).to_pylist() for part in sorted(folder.glob("*.parquet"))]


def test_documents_are_packed_as_often_as_the_mixture_says(mixed: tuple[Path, RunRecord], other: Path) -> None:
    store, record = mixed
    tokens = rows(store, record, "tokens")
    assert len(tokens) == 2 + 3, "the other corpus's parts come after the run's own"
    clusters = Counter(row["cluster"] for part in rows(store, record, "duplicates") for row in part)
    starts = Counter(
        (segment["part"], segment["row"])
        for part in rows(store, record, "packing")
        for sequence in part
        for segment in sequence["segments"]
        if segment["start"] == 0
    )
    assert clusters
    seen: Counter[int] = Counter()
    for index, part in enumerate(tokens):
        for number, row in enumerate(part):
            times = starts[index, number]
            if row["split"] == "validation":
                assert times == 0, "held-out documents are never trained on"
            elif index < 2:
                assert times == (6 if clusters[row["id"]] > 1 else 2)
            else:
                seen[times] += 1
    assert set(seen) <= {0, 1, 2} and seen[0] > seen[2], "half of them, a duplicated one 1.5 times"


def test_counts_add_up_and_say_what_came_from_where(mixed: tuple[Path, RunRecord]) -> None:
    store, record = mixed
    assert funnel_discrepancies(Store(str(store)), record) == []
    manifest = json.loads((store / f"{record.stages['packing'].plan.folder}.manifest.json").read_text())
    counted = manifest["counters"]
    assert counted["drawn_tokens"] == counted["drawn_tokens.own"] + counted["drawn_tokens.old"]
    assert counted["drawn_tokens.old"] > 0


def test_every_token_leads_to_its_document(mixed: tuple[Path, RunRecord], other: Path) -> None:
    store, record = mixed
    foreign = [row["id"] for part in rows(store, record, "tokens")[2:] for row in part]
    (corpus,) = filter(Path.is_dir, (other / "datasets" / "corpus").iterdir())
    parts = sorted(corpus.glob("*.parquet"))
    assert foreign == [row["id"] for part in parts for row in pq.read_table(part).to_pylist()]


def test_one_text_is_on_one_side_in_every_corpus(mixed: tuple[Path, RunRecord]) -> None:
    store, record = mixed
    sides: dict[tuple[int, ...], set[str]] = {}
    for part in rows(store, record, "tokens"):
        for row in part:
            sides.setdefault(tuple(row["tokens"]), set()).add(row["split"])
    assert all(len(found) == 1 for found in sides.values())


def test_another_mixture_makes_only_what_builds_on_it_anew(mixed: tuple[Path, RunRecord], other: Path) -> None:
    store, record = mixed
    section = {"own": {"weight": 1}, "others": {"old": {"store": str(other), "weight": 1}}}
    again = crawl(store, {"mixture": section})
    changed = [
        name for name, stage in again.stages.items() if stage.plan.fingerprint != record.stages[name].plan.fingerprint
    ]
    assert changed == ["packing", "pretrain", "sft", "evaluate", "export"]
    assert "packing.mixture.own.weight changed from None to 1.0" in explain_stage(Store(str(store)), "packing").words
    manifest = json.loads((store / f"{again.stages['packing'].plan.folder}.manifest.json").read_text())
    drawn = manifest["counters"]
    assert abs(drawn["drawn_tokens.own"] / drawn["drawn_tokens.old"] - 1) < 0.1, "equal weights, equal tokens"


def pinned(store: Path, section: dict[str, Any]) -> Recipe:
    """The small recipe with a mixture, as a run would pin it."""
    recipe = Recipe.model_validate(RECIPE | {"mixture": section})
    return pin_mixture(pin_data_files(recipe, Store(str(store))), Store(str(store)))


def test_a_corpus_is_found_by_crawl_and_named_by_what_it_is(other: Path, tmp_path: Path) -> None:
    (corpus,) = (path.name for path in (other / "datasets" / "corpus").iterdir() if path.is_dir())
    crawls = {json.loads(run.read_text())["crawl"] for run in (other / "runs").iterdir()}
    chat = {"conversations": "", "questions": ""}
    by_crawl = pinned(tmp_path, {"others": {"old": {"store": str(other), "crawl": crawls.pop()}}})
    by_name = pinned(tmp_path, {"others": {"old": {"store": str(other), "corpus": corpus}}})
    plans = [plan_stages(recipe, "CC-MAIN-2026-46", chat) for recipe in (by_crawl, by_name)]
    assert plans[0]["tokens"].fingerprint == plans[1]["tokens"].fingerprint
    other.joinpath("moved").symlink_to(other, target_is_directory=True)
    moved = pinned(tmp_path, {"others": {"old": {"store": str(other / "moved"), "corpus": corpus}}})
    planned = plan_stages(moved, "CC-MAIN-2026-46", chat)["tokens"]
    assert planned.fingerprint == plans[0]["tokens"].fingerprint


def test_a_corpus_that_is_not_there_is_said_before_the_run(other: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mixture\.others\.old: no run in .* of the crawl CC-MAIN-1999-01"):
        pinned(tmp_path, {"others": {"old": {"store": str(other), "crawl": "CC-MAIN-1999-01"}}})
    with pytest.raises(UsageError, match=r"mixture\.others\.old: .* holds no finished corpus 0123456789abcdef"):
        pinned(tmp_path, {"others": {"old": {"corpus": "0123456789abcdef"}}})


def test_the_runs_own_corpus_is_no_other_one(mixed: tuple[Path, RunRecord]) -> None:
    store, record = mixed
    own = record.stages["corpus"].plan.fingerprint
    recipe = pinned(store, {"others": {"again": {"corpus": own}}})
    plans = plan_stages(recipe, record.crawl, {"conversations": "c", "questions": "q"})
    with pytest.raises(UsageError, match=r"mixture\.others\.again is this run's own corpus"):
        refuse_own_corpus(plans)


def test_quality_decides_how_often_a_document_counts(tmp_path: Path) -> None:
    section = {"own": {"epochs": 1}, "by_quality": {"good": [{"at_least": 0.75, "times": 4}]}}
    record = crawl(tmp_path, {"classifiers": {"good": QUALITY}, "mixture": section})
    scores = {row["id"]: row["score_good"] for part in rows(tmp_path, record, "scores") for row in part}
    tokens = rows(tmp_path, record, "tokens")
    counted = Counter(
        tokens[segment["part"]][segment["row"]]["id"]
        for part in rows(tmp_path, record, "packing")
        for sequence in part
        for segment in sequence["segments"]
        if segment["start"] == 0
    )
    trained = [row["id"] for part in tokens for row in part if row["split"] == "train"]
    assert {id: counted[id] for id in trained} == {id: 4 if scores[id] >= 0.75 else 1 for id in trained}
    assert set(counted.values()) == {1, 4}


def test_what_a_mixture_lacks_is_said(other: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="by_quality names good, which is not among the classifiers"):
        Recipe.model_validate(RECIPE | {"mixture": {"by_quality": {"good": STEPS}}})
    with pytest.raises(ValueError, match=r"mixture\.others\.old says no store, no crawl and no corpus"):
        Recipe.model_validate(RECIPE | {"mixture": {"others": {"old": {}}}})
    section = {"others": {"old": {"store": str(other)}}, "by_quality": {"good": STEPS}}
    with pytest.raises(PermanentError, match="the corpus of old was made without classifiers"):
        crawl(tmp_path, {"classifiers": {"good": QUALITY}, "mixture": section})
