"""Which score stays at least, where a classifier keeps a share of the corpus and other documents would reach it.

Notable: the share is one of all documents, so the score is found in two passes over the parts, as the stage
`thresholds` finds it. Documents that were never scored cannot count, and of those with just that score all stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from flows.what_if.judging import JudgedRun
from flows.what_if.parts import StageDecisions, judge_part
from tasks.classifier_judging import Float32s, ScoreCounts
from tasks.rejudging import Rejudging, SignalTest
from tasks.stage_tests import KeepTop
from tasks.store import Store


def with_scores_to_keep(store: Store, run: JudgedRun) -> JudgedRun:
    """The run with every share to keep as a threshold, unless all stays as it was."""
    corpus = run.stages[-1]
    shares = [test for test in corpus.after if isinstance(test, KeepTop)]
    reached_as_before = not any(stage.rejudging.changes for stage in run.stages[:-1])
    if not shares or (reached_as_before and set(shares) <= set(corpus.before)):
        return run
    found: dict[SignalTest, SignalTest] = {test: test.at(_lowest_kept(store, run, test)) for test in shares}
    after = tuple(found.get(test, test) for test in corpus.after)
    changed = replace(corpus, after=after, rejudging=Rejudging(corpus.before, after))
    return replace(run, stages=(*run.stages[:-1], changed))


def _lowest_kept(store: Store, run: JudgedRun, test: KeepTop) -> float:
    counts = ScoreCounts()
    for scores in _scores(store, run, test):
        counts.add(scores)
    if not counts.total:
        return 0.0
    counts.look_for(max(round(test.share * counts.total), 1) - 1)
    for scores in _scores(store, run, test):
        counts.add_again(scores)
    return counts.found()[0]


def _scores(store: Store, run: JudgedRun, test: KeepTop) -> Iterator[Float32s]:
    """The scores of the documents that would reach the corpus stage, part by part; duplicates have none."""
    (column,) = test.columns
    stages: tuple[StageDecisions, ...] = run.stages
    for part in run.parts:
        *_, judged = judge_part(store, part, stages, [column])
        scores = judged.decisions[column].filter(judged.reached)
        yield scores.drop_null().to_numpy()
