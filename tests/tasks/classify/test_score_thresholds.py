"""Thresholds over a whole crawl: exactly the share that is asked for stays, however the crawl is split into parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.classify.score_thresholds import (
    THRESHOLDS,
    ClassifierCheck,
    Threshold,
    find_threshold,
    read_thresholds,
    scores_schema,
    thresholds_table,
)
from tasks.classify.training import ScoreRuleConfig

SCORES = st.lists(st.one_of(st.floats(0, 1, width=32), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=1, max_size=60)


def table(scores: list[float]) -> pa.Table:
    ids = [f"W-{i % 7}:{i}" for i in range(len(scores))]
    return pa.table({"id": ids, "score_q": pa.array(scores, pa.float32())}, schema=scores_schema(["q"]))


def reader(table: pa.Table, cut: int) -> Callable[[list[str]], Iterator[pa.Table]]:
    return lambda columns: (table.slice(start, cut).select(columns) for start in range(0, len(table), cut))


def kept(threshold: Threshold, table: pa.Table) -> list[float]:
    goes = threshold.goes(table["score_q"], table["id"]).to_pylist()
    return [score for score, gone in zip(table["score_q"].to_pylist(), goes, strict=True) if not gone]


@given(SCORES, st.floats(0.001, 1), st.integers(1, 70))
def test_keep_top_keeps_exactly_the_share_and_the_best(scores: list[float], share: float, cut: int) -> None:
    rows = table(scores)
    threshold = find_threshold("q", ScoreRuleConfig(keep_top=share), reader(rows, cut))
    stays = kept(threshold, rows)
    count = max(round(share * len(scores)), 1)
    assert sorted(stays) == sorted(rows["score_q"].to_pylist())[-count:]
    assert threshold == find_threshold("q", ScoreRuleConfig(keep_top=share), reader(rows[::-1], 3))


def test_the_top_tenth_of_many() -> None:
    rows = table(np.random.default_rng(3).random(20_000).tolist())
    assert len(kept(find_threshold("q", ScoreRuleConfig(keep_top=0.1), reader(rows, 999)), rows)) == 2000


@pytest.mark.parametrize(
    ("rule", "stays"), [(ScoreRuleConfig(min_score=0.5), [0.5, 0.75]), (ScoreRuleConfig(max_score=0.5), [0.25, 0.5])]
)
def test_a_score_at_the_threshold_stays(rule: ScoreRuleConfig, stays: list[float]) -> None:
    rows = table([0.25, 0.5, 0.75])
    assert kept(find_threshold("q", rule, reader(rows, 1)), rows) == stays


def test_an_empty_crawl_has_a_threshold_too() -> None:
    assert find_threshold("q", ScoreRuleConfig(keep_top=0.1), lambda columns: iter(())).score == 0.0


def test_thresholds_survive_their_table() -> None:
    thresholds = [Threshold("a", "min_score", 0.018112), Threshold("q", "keep_top", 0.25, "W:3")]
    found = thresholds_table(thresholds)
    assert found.schema == THRESHOLDS and read_thresholds(found) == thresholds


def test_every_classifier_that_is_against_a_document_is_named() -> None:
    scores = pa.table(
        {"id": ["W:1", "W:2", "W:4"], "score_q": [0.9, 0.1, 0.1], "score_spam": [0.1, 0.1, 0.9]},
        schema=scores_schema(["q", "spam"]),
    )
    judge = ClassifierCheck([Threshold("q", "min_score", 0.5), Threshold("spam", "max_score", 0.5)], scores)
    judged = judge.check(pa.table({"id": ["W:1", "W:2", "W:3", "W:4"]}))
    assert judged.reasons == [[], ["classifier_q"], [], ["classifier_q", "classifier_spam"]]
    assert judged.signals.schema == judge.signals
    assert judged.signals["score_q"].to_pylist() == [np.float32(0.9), np.float32(0.1), None, np.float32(0.1)]
    assert judged.signals["score_spam"].null_count == 1, "a duplicate has no score"
