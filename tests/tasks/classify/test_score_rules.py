"""Rules on scores over a whole crawl: exactly the share that is asked for stays, whatever the parts."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.classify.lowest_kept import LOWEST_KEPT, LowestKept, find_lowest_kept, read_lowest_kept
from tasks.classify.score_rules import ClassifierCheck, score_rules, scores_schema
from tasks.classify.training import ScoreRuleConfig

SCORES = st.lists(st.one_of(st.floats(0, 1, width=32), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=1, max_size=60)


def table(scores: list[float]) -> pa.Table:
    ids = [f"W-{i % 7}:{i}" for i in range(len(scores))]
    return pa.table({"id": ids, "score_q": pa.array(scores, pa.float32())}, schema=scores_schema(["q"]))


def reader(table: pa.Table, cut: int) -> Callable[[list[str]], Iterator[pa.Table]]:
    return lambda columns: (table.slice(start, cut).select(columns) for start in range(0, len(table), cut))


def kept(rule: ScoreRuleConfig, lowest: LowestKept | None, table: pa.Table) -> list[float]:
    (applied,) = score_rules({"q": rule}, {"q": lowest} if lowest else {})
    return table["score_q"].filter(pa.array(~applied.failing(table))).to_pylist()


@given(SCORES, st.floats(0.001, 1), st.integers(1, 70))
def test_keep_top_keeps_exactly_the_share_and_the_best(scores: list[float], share: float, cut: int) -> None:
    rows = table(scores)
    lowest = find_lowest_kept(share, "score_q", reader(rows, cut))
    stays = kept(ScoreRuleConfig(keep_top=share), lowest, rows)
    count = max(round(share * len(scores)), 1)
    assert sorted(stays) == sorted(rows["score_q"].to_pylist())[-count:]
    assert lowest == find_lowest_kept(share, "score_q", reader(rows[::-1], 3))


def test_the_top_tenth_of_many() -> None:
    rows = table(np.random.default_rng(3).random(20_000).tolist())
    lowest = find_lowest_kept(0.1, "score_q", reader(rows, 999))
    assert len(kept(ScoreRuleConfig(keep_top=0.1), lowest, rows)) == 2000


@pytest.mark.parametrize(
    ("rule", "stays"), [(ScoreRuleConfig(min_score=0.5), [0.5, 0.75]), (ScoreRuleConfig(max_score=0.5), [0.25, 0.5])]
)
def test_a_score_at_the_threshold_stays(rule: ScoreRuleConfig, stays: list[float]) -> None:
    assert kept(rule, None, table([0.25, 0.5, 0.75])) == stays


def test_an_empty_crawl_has_a_lowest_score_too() -> None:
    assert find_lowest_kept(0.1, "score_q", lambda columns: iter(())) == LowestKept(0.0, None)


def test_lowest_scores_survive_their_table() -> None:
    lowest = {"a": LowestKept(0.018112, None), "q": LowestKept(0.25, "W:3")}
    rows = [{"name": name, **found._asdict()} for name, found in lowest.items()]
    assert read_lowest_kept([pa.Table.from_pylist(rows, LOWEST_KEPT)]) == lowest


def test_every_classifier_that_removes_a_document_is_named() -> None:
    scores = pa.table(
        {"id": ["W:1", "W:2", "W:4"], "score_q": [0.9, 0.1, 0.1], "score_spam": [0.1, 0.1, 0.9]},
        schema=scores_schema(["q", "spam"]),
    )
    configs = {"q": ScoreRuleConfig(min_score=0.5), "spam": ScoreRuleConfig(max_score=0.5)}
    check = ClassifierCheck(dict(zip(configs, score_rules(configs), strict=True)), scores)
    result = check.check(pa.table({"id": ["W:1", "W:2", "W:3", "W:4"]}))
    assert {name: fails.tolist() for name, fails in result.failing.items()} == {
        "classifier_q": [False, True, False, True],
        "classifier_spam": [False, False, False, True],
    }
    assert result.signals.schema == check.signals
    assert result.signals["score_q"].to_pylist() == [np.float32(0.9), np.float32(0.1), None, np.float32(0.1)]
    assert result.signals["score_spam"].null_count == 1, "a duplicate has no score"
