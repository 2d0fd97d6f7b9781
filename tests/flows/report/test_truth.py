"""The score against the truth: of a real run, and of invented outcomes of every kind, right and wrong."""

import shutil
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.report.truth.decision_score import Outcome, score_decisions
from flows.report.truth.duplicate_score import score_duplicates
from flows.report.truth.extraction_score import word_overlap
from flows.report.truth.truth_score import TruthScore, read_truth_score
from flows.store.missing import Missing
from flows.store.run_record import RunRecord
from tasks.dataset.store import Store
from tasks.synthetic_web.truth import PageTruth
from tests.flows.report_stores import synthetic_web_run

STAGES = ("extract", "filter", "corpus")


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord]:
    folder = tmp_path_factory.mktemp("crawled") / "store"
    return folder, synthetic_web_run(folder).record


@pytest.fixture(scope="module")
def score(crawled: tuple[Path, RunRecord]) -> TruthScore:
    found = read_truth_score(Store(str(crawled[0])), crawled[1])
    assert isinstance(found, TruthScore)
    return found


def page(id: str, expected: str, reason: str | None = None, cluster: str | None = None) -> PageTruth:
    return PageTruth(
        id=f"w:{id}",
        url=f"https://{id}.example/",
        kind="article",
        language="en",
        main_text="",
        duplicate_cluster=cluster,
        original=False,
        expected=expected,
        reason=reason,
        facts=(),
        layout=None,
        charset=None,
    )


def outcomes(removed: Mapping[str, str | None]) -> dict[str, Outcome]:
    return {f"w:{id}": Outcome(stage, (f"by_{stage}",) if stage else (), None) for id, stage in removed.items()}


def test_every_page_of_a_real_run_has_one_outcome(score: TruthScore) -> None:
    decisions = score.decisions
    assert sum(sum(row.values()) for row in decisions.outcomes.values()) == decisions.pages
    assert all("no decision" not in row for row in decisions.outcomes.values())
    assert decisions.stages[0].reached == decisions.pages


def test_a_real_run_does_nearly_all_of_it_right(score: TruthScore) -> None:
    assert score.decisions.agreeing > 0.95
    for stage in score.decisions.stages:
        assert stage.precision is not None and stage.precision > 0.9
        assert stage.recall is not None and stage.recall > 0.9
    assert score.extraction.overall is not None
    assert score.extraction.overall.f1 > 0.9
    assert "en" in {language.language for language in score.extraction.languages}
    # Long pages in other languages are told before the text is taken out, the rest by the filter.
    foreign = next(reason for reason in score.decisions.reasons if reason.reason == "language")
    assert set(foreign.by_stage) == {"extract", "filter"}
    assert {"language", "language_guess"} <= {given.reason for given in foreign.given}
    assert score.duplicates is not None and score.duplicates.recall is not None
    assert score.duplicates.recall > 0.8


def test_right_early_wrong_and_missed_are_told_apart() -> None:
    truth = [
        page("kept", "keep"),
        page("lost", "keep"),
        page("broken", "extract", "status"),
        page("broken-late", "extract", "status"),
        page("poor", "filter", "too_short"),
        page("poor-early", "filter", "too_short"),
        page("poor-kept", "filter", "bullets"),
    ]
    removed = {
        "kept": None,
        "lost": "filter",
        "broken": "extract",
        "broken-late": "filter",
        "poor": "filter",
        "poor-early": "extract",
        "poor-kept": None,
    }
    found = score_decisions(truth, outcomes(removed), STAGES)
    extract, filter, corpus = found.stages
    assert (extract.reached, extract.right, extract.early, extract.wrong, extract.missed) == (7, 1, 1, 0, 1)
    assert (filter.reached, filter.right, filter.early, filter.wrong, filter.missed) == (5, 2, 0, 1, 1)
    assert (corpus.reached, corpus.right, corpus.early, corpus.wrong, corpus.missed) == (2, 0, 0, 0, 1)
    assert (extract.precision, extract.recall) == (1.0, 0.5)
    assert filter.precision == pytest.approx(2 / 3)
    assert filter.recall == pytest.approx(2 / 3)
    assert (corpus.precision, corpus.recall) == (None, 0.0)
    assert found.agreeing == pytest.approx(5 / 7)
    assert found.outcomes["filter"] == {"filter": 1, "extract": 1, "keep": 1}
    mistakes = [(mistake.id, mistake.outcome) for mistake in found.mistakes]
    assert mistakes == [("w:lost", "filter"), ("w:poor-kept", "keep")]
    by_reason = {reason.reason: reason for reason in found.reasons}
    assert by_reason["status"].by_stage == {"extract": 1, "filter": 1}
    assert [(given.reason, given.count) for given in by_reason["too_short"].given] == [
        ("by_extract", 1),
        ("by_filter", 1),
    ]


def test_whichever_copy_survives_is_the_one_to_keep() -> None:
    truth = [
        page("original", "keep", cluster="c"),
        page("copy", "duplicates", "exact_duplicate", "c"),
        page("other", "duplicates", "near_duplicate", "c"),
    ]
    found = score_decisions(truth, outcomes({"original": "corpus", "copy": None, "other": "corpus"}), STAGES)
    assert found.agreeing == 1.0
    assert found.stages[-1].right == 2 and found.stages[-1].wrong == 0


def test_a_cluster_that_is_lost_whole_is_one_mistake() -> None:
    truth = [page("original", "keep", cluster="c"), page("copy", "duplicates", "exact_duplicate", "c")]
    found = score_decisions(truth, outcomes({"original": "corpus", "copy": "corpus"}), STAGES)
    assert (found.stages[-1].right, found.stages[-1].wrong) == (1, 1)


def test_a_record_without_a_decision_is_a_mistake() -> None:
    found = score_decisions(
        [page("gone", "extract", "status"), page("there", "keep")], outcomes({"there": None}), STAGES
    )
    assert found.outcomes["extract"] == {"no decision": 1}
    assert found.agreeing == 0.5
    assert [mistake.id for mistake in found.mistakes] == ["w:gone"]


def test_another_synthetic_web_is_not_the_truth(crawled: tuple[Path, RunRecord]) -> None:
    folder, record = crawled
    other = record.model_copy(
        update={"recipe": record.recipe | {"synthetic_web": record.recipe["synthetic_web"] | {"seed": 2}}}
    )
    found = read_truth_score(Store(str(folder)), other)
    assert isinstance(found, Missing) and "is not the one that this run crawled" in found.why


def test_a_real_crawl_has_no_known_truth(crawled: tuple[Path, RunRecord]) -> None:
    folder, record = crawled
    real = record.model_copy(update={"recipe": record.recipe | {"synthetic_web": None}})
    assert isinstance(read_truth_score(Store(str(folder)), real), Missing)


def test_stages_that_did_not_run_are_not_scored(crawled: tuple[Path, RunRecord], tmp_path: Path) -> None:
    shutil.copytree(crawled[0], tmp_path / "store")
    store, record = Store(str(tmp_path / "store")), crawled[1]
    for stage in ("filter", "corpus"):
        store.remove(f"{record.stages[stage].plan.folder}.manifest.json")
    found = read_truth_score(store, record)
    assert isinstance(found, TruthScore)
    assert [stage.stage for stage in found.decisions.stages] == ["extract"]
    assert found.duplicates is None


def test_word_overlap_counts_words_as_bags() -> None:
    assert word_overlap("The cat, the dog.", "the cat the dog") == (1.0, 1.0, 1.0)
    precision, recall, f1 = word_overlap("home the cat", "the cat the dog")
    assert precision == pytest.approx(2 / 3)
    assert recall == 0.5
    assert f1 == pytest.approx(4 / 7)
    assert word_overlap("", "a") == (0.0, 0.0, 0.0)


clusters = st.dictionaries(st.integers(0, 12), st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=13)


@given(clusters)
def test_duplicate_pairs_are_those_that_one_would_list(members: dict[int, tuple[int, int]]) -> None:
    truth = [page(str(id), "keep", cluster=f"t{true}") for id, (true, _) in members.items()]
    found = score_duplicates(truth, {f"w:{id}": f"f{group}" for id, (_, group) in members.items()})
    pairs = list(combinations(members.values(), 2))
    assert found.true_pairs == sum(a[0] == b[0] for a, b in pairs)
    assert found.found_pairs == sum(a[1] == b[1] for a, b in pairs)
    assert found.right_pairs == sum(a == b for a, b in pairs)
